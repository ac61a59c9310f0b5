"""``vptm serve`` as a user starts it, once for all, with two replicas."""

import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest

from vptm_mm.serving.client import Client, ServerError

from .conftest import png
from .test_api import expected

pytestmark = [
    pytest.mark.needs('ray', 'httpx'),
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path('/proc').is_dir(), reason='finds replicas in /proc'
    ),
]
IMAGES = [png(seed) for seed in range(8)]


def free_port() -> int:
    with socket.create_server(('127.0.0.1', 0)) as server:
        return server.getsockname()[1]


def descendants(pid: int) -> dict[int, str]:
    """Names of the processes that a process has started."""
    parents, names = {}, {}
    for path in Path('/proc').glob('[0-9]*'):
        try:
            stat = (path / 'stat').read_text()
            names[int(path.name)] = (path / 'cmdline').read_text()
        except OSError:  # it has ended
            continue
        parents[int(path.name)] = int(stat.rpartition(')')[2].split()[1])
    found, new = {}, [pid]
    while new:
        new = [p for p, parent in parents.items() if parent in new]
        found |= {p: names.get(p, '') for p in new}
    return found


class Server:
    """A running ``vptm serve``."""

    def __init__(self, folder: Path, store: Path, *words: str) -> None:
        port = free_port()
        self.store = store
        self.url = f'http://127.0.0.1:{port}'
        self.client = Client(self.url)
        self.errors = folder / 'stderr'
        with self.errors.open('wb') as errors:
            self.process = subprocess.Popen(
                [sys.executable, '-m', 'vptm_mm_cli', 'serve', '--tasks']
                + [str(store), '--port', str(port), *words],
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=folder,
                text=True,
            )
        self.line = self.process.stdout.readline()

    def replicas(self) -> list[int]:
        return [
            pid
            for pid, name in descendants(self.process.pid).items()
            if name.startswith('ray::ServeReplica')
        ]

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@pytest.fixture(scope='module')
def server(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp('served')
    store = folder / 'tasks'
    store.mkdir()
    for name in ('birds', 'dogs', 'tokens'):
        shutil.copy(files[name], store)
    server = Server(
        folder,
        store,
        *('--task', f'cars={files["cars"]}', '--replicas', '2'),
        *('--max-batch', '8', '--max-queue', '16', '--max-wait-ms', '2'),
    )
    try:
        assert server.line == f'Serving at {server.url}; end it by Ctrl+C.\n'
        yield server
    finally:
        server.process.kill() if server.process.poll() else server.end()


@pytest.fixture(scope='module')
def right(files):
    """The answers of the pool, which are those of single models."""
    return {
        (name, i): expected(files, name, image)
        for name in files
        for i, image in enumerate(IMAGES)
    }


def ask(client, right, name, i) -> int | str:
    """Ask once; a wrong answer is an error. Return the status, or why none."""
    try:
        found = client.predict(IMAGES[i], [name])[name]
    except ServerError as error:
        return error.status or str(error)
    labels, scores = right[name, i]
    assert [one['label'] for one in found] == labels
    np.testing.assert_allclose(
        [one['score'] for one in found], scores, atol=1e-5
    )
    return 200


def ask_many(server, right, count, callers, names, patience=30) -> list:
    rng = random.Random(count)
    asked = [(rng.choice(names), rng.randrange(8)) for _ in range(count)]
    client = Client(server.url, patience=patience)
    with ThreadPoolExecutor(callers) as pool:
        return [*pool.map(lambda one: ask(client, right, *one), asked)]


def test_mixed_requests(server, right, files):
    names = [*files]
    assert ask_many(server, right, 200, 12, names) == [200] * 200
    text = urlopen(f'{server.url}/metrics').read().decode()
    counts = {
        line.rpartition(' ')[0]: float(line.rpartition(' ')[2])
        for line in text.splitlines()
        if not line.startswith('#')
    }
    # Of both replicas; some batches had several tasks.
    assert counts['vptm_requests_total{status="200"}'] >= 200
    batches = counts['vptm_batch_tasks_count']
    assert counts['vptm_batch_tasks_bucket{le="1.0"}'] < batches


def test_tasks_come_and_go(server, right, files):
    """At every replica within 5 s: by HTTP, and by hand."""
    server.client.put('new', files['dogs'].read_bytes())
    shutil.copy(files['birds'], server.store / 'by_hand.safetensors')
    for i in range(8):
        right['new', i] = right['dogs', i]
        right['by_hand', i] = right['birds', i]
    new = ['new', 'by_hand']
    assert ask_many(server, right, 40, 8, new) == [200] * 40
    server.client.delete('new')
    (server.store / 'by_hand.safetensors').unlink()
    time.sleep(5)
    assert ask_many(server, right, 40, 8, new) == [404] * 40
