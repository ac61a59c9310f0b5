"""``vptm serve`` for long, while everything about it changes.

    VPTM_MINUTES=30 python -m pytest tests/nightly/test_serving.py -s

prints the memory of a replica.
"""

import asyncio
import hashlib
import os
import random
import shutil
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlparse

import numpy as np
import pytest

from vptm_mm.serving.client import Client, ServerError

from ..serving.conftest import files
from ..serving.test_ray import IMAGES, Server, ask_many, right

__all__ = ['files', 'right']  # fixtures

pytestmark = [pytest.mark.needs('ray', 'httpx'), pytest.mark.timeout(7200)]
MINUTES = float(os.environ.get('VPTM_MINUTES', 30))


@pytest.fixture(scope='module')
def server(files, tmp_path_factory):  # noqa: F811
    folder = tmp_path_factory.mktemp('served')
    store = folder / 'tasks'
    store.mkdir()
    for path in files.values():
        shutil.copy(path, store)
    server = Server(folder, store, '--max-tasks', '3')
    try:
        yield server
    finally:
        server.end()


def test_ten_thousand_requests_while_tasks_change(server, files, right):  # noqa: F811
    """Each answer is that of the task whose digest it names."""
    names = {
        hashlib.sha256(path.read_bytes()).hexdigest(): name
        for name, path in files.items()
    }
    client = Client(server.url)
    ended = Event()

    def change():
        rng = random.Random(0)
        by_hand = server.store / 'by_hand.safetensors'
        part = by_hand.with_suffix('.part')
        while not ended.is_set():
            content = files[rng.choice([*files])].read_bytes()
            client.put('changing', content)
            part.write_bytes(content)
            part.replace(by_hand)
            time.sleep(rng.random())
            if rng.random() < 0.3:
                client.delete('changing')
                by_hand.unlink()

    def ask(number):
        rng = random.Random(number)
        name = rng.choice([*files, 'changing', 'by_hand'])
        i = rng.randrange(len(IMAGES))
        try:
            answer = client.call(
                'POST', f'/v1/tasks/{name}/predict', IMAGES[i]
            )
        except ServerError as error:
            if name in files or error.status not in (404, 503):
                raise
            return 0
        found = names[answer['model']['sha256']]
        assert found == name or name not in files
        labels, scores = right[found, i]
        (predictions,) = answer['predictions']
        assert [one['label'] for one in predictions] == labels
        np.testing.assert_allclose(
            [one['score'] for one in predictions], scores, atol=1e-5
        )
        return 1

    changing = Thread(target=change)
    changing.start()
    try:
        with ThreadPoolExecutor(16) as callers:
            answered = sum(callers.map(ask, range(10_000)))
    finally:
        ended.set()
        changing.join()
    assert answered > 8000


def test_callers_that_are_slow_or_vanish(server, files, right):  # noqa: F811
    """64 of each; then it answers, at the latest when their time is up."""
    url = urlparse(server.url)
    address = (url.hostname, url.port)
    head = b'POST /v1/tasks/birds/predict HTTP/1.1\r\nHost: x\r\n'
    half = head + b'Content-Length: 1000\r\n\r\n' + bytes(500)
    for _ in range(64):  # vanish
        with socket.create_connection(address) as caller:
            caller.sendall(half)
    assert ask_many(server, right, 40, 8, [*files]) == [200] * 40
    slow = [socket.create_connection(address) for _ in range(64)]
    for caller in slow:
        caller.sendall(half)
    started = time.monotonic()
    assert ask_many(server, right, 40, 8, [*files], 90) == [200] * 40
    assert time.monotonic() - started < 60
    for caller in slow:
        caller.settimeout(60)
        assert b' 408 ' in caller.recv(100)
        caller.close()


def test_callers_that_read_late(server, files, right):  # noqa: F811
    """64 who leave their answers unread for a while; others get theirs."""
    url = urlparse(server.url)
    head = 'POST /v1/tasks/birds/predict HTTP/1.1\r\nHost: x\r\n'
    length = f'Content-Length: {len(IMAGES[0])}\r\n\r\n'
    late = [
        socket.create_connection((url.hostname, url.port)) for _ in range(64)
    ]
    for caller in late:
        caller.sendall((head + length).encode() + IMAGES[0])
    assert ask_many(server, right, 200, 8, [*files]) == [200] * 200
    for caller in late:
        caller.settimeout(60)
        assert b' 200 ' in caller.recv(100)
        caller.close()


def test_who_is_let_in_is_answered_soon(server):
    """Not later than all that may be before it takes, twice."""
    url = urlparse(server.url)

    async def ask(number):
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        # The system tries a connection again after 1 and 3 s.
        begun = time.monotonic()
        image = IMAGES[number % 8]
        # Of tasks that stay in memory: none waits until it is loaded.
        head = (
            f'POST /v1/tasks/{("birds", "dogs")[number % 2]}/predict '
            'HTTP/1.1\r\nHost: x\r\nConnection: close\r\n'
            f'Content-Length: {len(image)}\r\n\r\n'
        )
        writer.write(head.encode() + image)
        answer = await reader.read()
        writer.close()
        return int(answer.split()[1]), time.monotonic() - begun

    async def call(caller):  # again and again, whatever it is told
        return [await ask(caller + i) for i in range(6)]

    async def call_all():
        return await asyncio.gather(*(call(number) for number in range(500)))

    started = time.monotonic()
    answers = [one for own in asyncio.run(call_all()) for one in own]
    took = time.monotonic() - started
    waits = [wait for status, wait in answers if status == 200]
    assert {status for status, _ in answers} == {200, 503}
    places = 256 + 2 * 32  # --max-queue, and what a replica has at a time
    print(f'{len(waits)} answers in {took:.1f} s, latest {max(waits):.1f} s')
    assert max(waits) < 2 * places * took / len(waits) + 1


def resident_mb(pid: int) -> float:
    pages = Path(f'/proc/{pid}/statm').read_text().split()[1]
    return int(pages) * os.sysconf('SC_PAGESIZE') / 1e6


def test_memory_is_flat(server, files, right):  # noqa: F811
    (replica,) = server.replicas()
    end = time.monotonic() + 60 * MINUTES
    sizes = []
    while time.monotonic() < end:
        ask_many(server, right, 1000, 16, [*files])
        sizes.append(resident_mb(replica))
        print(f'{sizes[-1]:.0f} MB', flush=True)
    third = len(sizes) // 3
    assert third, sizes
    later = max(sizes[-third:])
    assert later < 1.03 * max(sizes[third : 2 * third]), sizes
