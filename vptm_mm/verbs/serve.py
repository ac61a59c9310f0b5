"""Serve tasks over HTTP, on this machine or, by a file, on a cluster.

vptm serve --task birds=birds.safetensors --tasks tasks/
"""

import argparse
import logging
import math
import os
import signal
import sys
import threading
from contextlib import redirect_stdout, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch
import yaml

from ..run_verb import find_device, require_free
from ..serving.client import read_token
from ..serving.task_store import TaskStore, require_name
from ..tasks import (
    VPTMTaskPool,
    frozen_init,
    name_files,
    open_task,
    write_task,
)
from .haproxy import haproxy_environment
from .ray_environment import prepare_ray

if TYPE_CHECKING:
    from ..serving.deployment import Settings

LOCAL = ('127.0.0.1', 'localhost', '::1')
# Flags that are settings by the same names.
FROM_FLAGS = (
    *('tasks', 'weights', 'dtype', 'max_batch', 'max_wait_ms', 'replicas'),
    *('max_tasks', 'max_queue', 'max_mb', 'max_pixels'),
    *('token_file', 'token_for', 'metrics'),
)
OBJECT_STORE_BYTES = 100 * 10**6  # the least is 75 MB; little goes through it


def run(args: argparse.Namespace) -> None:
    """Run ``vptm serve``."""
    if not args.task and not args.tasks:
        raise ValueError(
            'nothing to serve: give --task FILE, or --tasks FOLDER, to which '
            'tasks can be added while it serves.'
        )
    if args.token_file:
        args.token_file = _absolute(args.token_file)
        read_token(args.token_file)
    if not args.write_config:
        args.on = find_device(args.on)
        require_free(args.host, args.port)
    elif not args.tasks:
        raise ValueError(
            '--write-config needs --tasks: a folder or an address that every '
            'machine of the cluster reaches.'
        )
    with TemporaryDirectory(prefix='vptm_mm_serve_') as folder:
        args.tasks = _absolute(args.tasks or folder)
        args.metrics = None if args.write_config else f'{folder}/metrics'
        store = TaskStore(args.tasks)
        if args.task:
            args.weights = _fill(store, args.task, args.weights)
        elif args.weights:
            args.weights = _absolute(args.weights)
        if not args.write_config:
            prepare_ray(**haproxy_environment(args.host, folder))
        prepare_ray(
            RAY_COLOR_PREFIX='0',
            # A device that --device names by its number is not hidden.
            RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO='0',
            # A loop of its own would cost more than it does there.
            RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD='0',
        )
        # Ray is imported here.
        from ..serving.deployment import Settings

        given = {k: v for k, v in vars(args).items() if k in FROM_FLAGS}
        given |= dict(device=args.on, **_shares(args))
        settings = Settings(**given)
        if args.write_config:
            _write_config(settings, args)
        else:
            _serve(settings, args)


def _absolute(path: str) -> str:
    """Return what a worker in another folder understands."""
    return path if '://' in path else str(Path(path).expanduser().absolute())


def _fill(store: TaskStore, task: list[str], weights: str | None) -> str:
    """Put task files into the store; return what weights they need."""
    files = name_files(task)
    for name in files:
        require_name(name)
    VPTMTaskPool.from_files(files, weights)  # or an error
    with TemporaryDirectory(prefix='vptm_mm_') as folder:
        path = Path(folder, 'task.safetensors')
        for name, file in files.items():
            write_task(open_task(file), path)
            store.write(name, path.read_bytes())
    first = open_task(next(iter(files.values())))
    return _absolute(frozen_init(first, weights)['checkpoint'])


def _shares(args: argparse.Namespace) -> dict[str, float]:
    """Return what a replica gets of a machine."""
    if args.write_config:
        return dict(cpus=1, gpus=float(args.on.startswith('cuda')))
    gpus = 0.0
    if args.on == 'cuda':
        # A GPU is not split so that a replica would need parts of two.
        gpus = 1 / math.ceil(args.replicas / torch.cuda.device_count())
    cores = os.cpu_count() or 1
    return dict(cpus=max(1, cores // args.replicas), gpus=gpus)


def _write_config(settings: 'Settings', args: argparse.Namespace) -> None:
    from ..serving.deployment import cluster_config

    content = cluster_config(settings, args.host, args.port)
    args.write_config.write_text(yaml.safe_dump(content, sort_keys=False))
    print(f'{args.write_config}; run it by: serve deploy {args.write_config}')


def _serve(settings: 'Settings', args: argparse.Namespace) -> None:
    """Serve until interrupted; what Ray says goes to stderr."""
    import ray
    from ray import serve

    from ..serving.deployment import NAME, QUIET, app

    address = f'http://{args.host}:{args.port}'
    if args.host not in LOCAL and not args.token_file:
        print(
            f'--host {args.host}: whoever reaches {address} may add and '
            'remove tasks; --token-file keeps others out.',
            file=sys.stderr,
        )
    logging.getLogger('ray').setLevel('WARNING')
    out = sys.stdout
    with redirect_stdout(sys.stderr):
        try:
            ray.init(
                'local',
                num_cpus=int(settings.cpus * settings.replicas),
                object_store_memory=OBJECT_STORE_BYTES,
                include_dashboard=False,
                logging_level=logging.ERROR,
            )
            # SIGTERM ends the server as Ctrl+C does, not as Ray wants it.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            logging.getLogger('ray.serve').setLevel('WARNING')
            serve.start(
                http_options=dict(host=args.host, port=args.port),
                logging_config=QUIET,
            )
            serve.run(app(settings), name=NAME, logging_config=QUIET)
            print(
                f'Serving at {address}; end it by Ctrl+C.',
                file=out,
                flush=True,
            )
            with suppress(KeyboardInterrupt):
                threading.Event().wait()
            serve.delete(NAME)  # when it has answered what it has begun
        except KeyboardInterrupt:  # while it starts or ends
            pass
        finally:
            serve.shutdown()
            ray.shutdown()
