"""First come, first served; and who is too many is told so."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from .conftest import LIMITS, png
from .test_api import error_of
from .test_served_tasks import predict, wait_for

pytestmark = pytest.mark.needs('ray', 'httpx')


@pytest.fixture
def hold(serve, monkeypatch):
    """Start a server whose model waits.

    Returns a client, what lets the model go on, and the tasks of each run.
    """
    events = []

    def start(**options):
        client = serve(**options)
        predict(client, 'birds')
        predict(client, 'dogs')
        go_on, runs = threading.Event(), []
        events.append(go_on)
        classify = client.tasks.pool.classify

        def wait(images):
            runs.append([name.split()[0] for i in images for name in i.names])
            go_on.wait(30)
            return classify(images)

        monkeypatch.setattr(client.tasks.pool, 'classify', wait)
        return client, go_on, runs

    yield start
    for event in events:
        event.set()


def waiting(client) -> float:
    (line,) = (
        line
        for line in client.get('/metrics').text.splitlines()
        if line.startswith('vptm_requests_waiting ')
    )
    return float(line.split()[1])


def test_a_full_queue(hold):
    client, go_on, runs = hold(queue=(1, 2))
    with ThreadPoolExecutor(3) as callers:
        asked = [callers.submit(predict, client, 'birds')]
        wait_for(lambda: runs)
        for number, name in enumerate(('dogs', 'birds'), 1):
            asked.append(callers.submit(predict, client, name))
            wait_for(lambda n=number: waiting(client) == n)
        refused = predict(client, 'dogs')
        assert '2 requests wait already' in error_of(refused, 503)
        assert refused.headers['Retry-After'] == '1'
        assert error_of(client.put('/v1/tasks/x', content=b'x'), 503)
        # Who watches it is answered.
        assert client.get('/healthz').status_code == 200
        go_on.set()
        assert [one.result().status_code for one in asked] == [200] * 3
    assert runs == [['birds'], ['dogs'], ['birds']]
    assert predict(client, 'dogs').status_code == 200


def test_who_goes_while_waiting_leaves_the_queue(serve):
    client = serve()

    async def go():
        from vptm_mm.serving.queue import RequestQueue

        queue = RequestQueue(1, 1)

        async def ask():
            async with queue.place():
                pass

        async with queue.place():
            for _ in range(3):  # more than may wait at a time
                asking = asyncio.create_task(ask())
                await asyncio.sleep(0)
                asking.cancel()
                await asyncio.wait([asking])
        await asyncio.wait_for(ask(), 1)

    client.portal.call(go)


def test_images_that_come_while_a_batch_runs(hold):
    """They are offered together when it has ended: the next batch."""
    from vptm_mm.serving.predictor import Predictor

    client, go_on, runs = hold()
    tasks, offered, ready = client.tasks, [], []

    async def classify(image):
        offered.append(image)
        return (await tasks.classify([image]))[0]

    predictor = Predictor(tasks, classify, LIMITS)
    prepare = tasks.prepare

    async def noting(*args):
        ready.append(await prepare(*args))
        return ready[-1]

    tasks.prepare = noting

    async def go():
        asked = []
        for seed in range(4):
            asking = predictor.predict(['birds'], [('a', png(seed))], 1)
            asked.append(asyncio.create_task(asking))
            while len(ready) <= seed or not runs:
                await asyncio.sleep(0.01)
        before = len(offered)
        go_on.set()
        await asyncio.gather(*asked)
        return before

    assert client.portal.call(go) == 1
    assert len(offered) == 4
