"""Downloads from a server that misbehaves: the whole file, or none."""

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from mmengine.logging import MMLogger
from torch import distributed

from vptm_mm.weights import download as downloads
from vptm_mm.weights.checkpoint_file import fetch

from .test_pretrained import check_loaded, load

DATA = bytes(range(256)) * 4096
DIGEST = hashlib.sha256(DATA).hexdigest()[:8]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802
        name = self.path.rpartition('/')[2].partition('?')[0]
        self.server.asked.append(self.path)
        content = self.server.files.get(name)
        if name == 'moved.pth':
            self.send_response(302)
            self.send_header('Location', self.server.target)
            self.end_headers()
        elif content is None:
            self.send_error(404)
        else:
            self.send_response(200)
            self.send_header('Content-Length', str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    for name in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'):
        monkeypatch.delenv(name, raising=False)
    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.files, server.asked, server.target = {}, [], ''
    server.url = f'http://127.0.0.1:{server.server_port}/a'
    threading.Thread(
        target=server.serve_forever, args=(0.01,), daemon=True
    ).start()
    yield server
    server.shutdown()
    server.server_close()


def cached(tmp_path) -> list[str]:
    return [p.name for p in tmp_path.joinpath('hub').rglob('*.p*')]


def test_downloads_go_to_the_cache_once(
    server, pretraining_model, checkpoint, tmp_path
):
    server.files['beitv2.pth'] = checkpoint.read_bytes()
    url = f'{server.url}/beitv2.pth?raw=1'
    for _ in range(2):
        check_loaded(load(url), pretraining_model)
    assert server.asked == ['/a/beitv2.pth?raw=1']
    # Another address with the same last part is another file.
    load(url.replace('/a/', '/b/'))
    assert len(server.asked) == 2
    assert cached(tmp_path) == ['beitv2.pth', 'beitv2.pth']


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('gone.pth', r'\(HTTP Error 404: Not Found\)'),
        ('x-00000000.pth', f'expected "00000000", got "{DIGEST}'),
        ('beitv2_base_patch16_224_pt1k.pth', 'expected "6d32a5f76264"'),
    ],
)
def test_a_failing_download_leaves_nothing(server, tmp_path, name, message):
    if name != 'gone.pth':
        server.files[name] = DATA
    with pytest.raises(RuntimeError, match=message) as error:
        fetch(f'{server.url}/{name}')
    assert f'could not download {server.url}/{name} (' in str(error.value)
    assert f'copy it to {tmp_path / "hub" / "checkpoints"}' in str(error.value)
    assert cached(tmp_path) == []


def test_names_that_hold_a_digest_or_a_date(server, monkeypatch):
    """Where no digest is known the log says so, once."""
    warnings = []
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(logger, 'warning', warnings.append)
    for name in (f'x-{DIGEST}.pth', 'x-20221212.pth'):
        server.files[name] = DATA
        assert warnings == []
        assert fetch(f'{server.url}/{name}').read_bytes() == DATA
    (text,) = warnings
    assert re.match(r'No sha256 is known of http.*/x-20221212\.pth: ', text)


def test_a_damaged_copy_in_the_cache_is_not_used(server):
    url = f'{server.url}/x-{DIGEST}.pth'
    path = downloads.cache_path(url)
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA[:-1])
    with pytest.raises(RuntimeError, match=f'begins with {DIGEST}.*delete it'):
        fetch(url)
    assert server.asked == []


def test_a_server_does_not_choose_a_local_file(server, tmp_path):
    (tmp_path / 'secret.pth').write_bytes(DATA)
    server.target = (tmp_path / 'secret.pth').as_uri()
    with pytest.raises(RuntimeError, match='is not allowed'):
        fetch(f'{server.url}/moved.pth')
    server.files['there.pth'] = DATA
    server.target = f'{server.url}/there.pth'
    assert fetch(f'{server.url}/moved.pth').read_bytes() == DATA


def test_the_first_process_of_a_machine_downloads(server, monkeypatch):
    server.files['x.pth'] = DATA
    distributed.init_process_group(
        'gloo', store=distributed.HashStore(), rank=0, world_size=1
    )
    try:
        monkeypatch.setenv('LOCAL_RANK', '1')
        with pytest.raises(FileNotFoundError, match='no pre-trained weights'):
            fetch(f'{server.url}/x.pth')
        assert server.asked == []
        monkeypatch.setenv('LOCAL_RANK', '0')
        assert fetch(f'{server.url}/x.pth').read_bytes() == DATA
    finally:
        distributed.destroy_process_group()
