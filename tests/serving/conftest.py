"""A server in this process, without Ray: each image is a batch."""

import io
import time
from collections import Counter
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from vptm_mm.tasks import write_task
from vptm_mm.upload import Limits

from ..made_tasks import make_classifier, task_of

OPTIONS = {
    'birds': dict(prompt_length=3, num_classes=5),
    'cars': dict(prompt_length=0, num_classes=2),
    'dogs': dict(prompt_length=4, prompt_blocks=(0, 2), num_classes=9),
    'tokens': dict(prompt_length=1, visual_token='logits', mask_grid=2),
}
LIMITS = Limits(max_bytes=200_000, max_pixels=10_000)


def png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 24, 3))
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, 'PNG')
    return buffer.getvalue()


@pytest.fixture(scope='session')
def files(checkpoint, tmp_path_factory):
    """Task files on one backbone."""
    folder = tmp_path_factory.mktemp('files')
    for seed, (name, options) in enumerate(OPTIONS.items()):
        model = make_classifier(checkpoint, seed, **options)
        write_task(task_of(model), folder / f'{name}.safetensors')
    return {path.stem: path for path in sorted(folder.iterdir())}


@pytest.fixture
def folder(files, tmp_path):
    """A store with some of them."""
    store = tmp_path / 'store'
    store.mkdir()
    for name in ('birds', 'dogs'):
        (store / files[name].name).write_bytes(files[name].read_bytes())
    return store


def build(store, access=None, limits=LIMITS, queue=(4, 4), **options):
    """The interface to a store, and the tasks behind it."""
    from vptm_mm.serving.api import Access, build_api
    from vptm_mm.serving.predictor import Predictor
    from vptm_mm.serving.queue import RequestQueue
    from vptm_mm.serving.served_tasks import ServedTasks
    from vptm_mm.serving.task_store import TaskStore

    tasks = ServedTasks(TaskStore(store), **options)

    async def classify(image):
        return (await tasks.classify([image]))[0]

    predictor = Predictor(tasks, classify, limits)
    api = build_api(
        predictor, RequestQueue(*queue), limits.max_bytes, access or Access()
    )
    return api, tasks


@pytest.fixture
def serve(folder):
    """Serve a store; returns a client of the interface."""
    from fastapi.testclient import TestClient

    clients = []

    def _serve(store=folder, **options) -> TestClient:
        api, tasks = build(store, **options)
        client = TestClient(api, raise_server_exceptions=False)
        client.tasks = tasks
        clients.append(client)
        return client.__enter__()

    yield _serve
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def url(folder):
    """The address of a server that answers over HTTP."""
    import uvicorn

    config = uvicorn.Config(build(folder)[0], port=0, log_level='error')
    server = uvicorn.Server(config)
    listening = config.bind_socket()
    thread = Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f'http://127.0.0.1:{listening.getsockname()[1]}'
    server.should_exit = True
    thread.join(10)


def count_loads(tasks) -> Counter:
    """Count from now on which tasks are read."""
    counts: Counter = Counter()
    load = tasks._load

    async def counting(name, stored):
        counts[name] += 1
        return await load(name, stored)

    tasks._load = counting
    return counts
