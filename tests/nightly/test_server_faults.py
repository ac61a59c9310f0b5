"""``vptm serve`` with two replicas, when something goes wrong.

The last test ends it.
"""

import os
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from ..serving.conftest import files
from ..serving.test_ray import ask_many, descendants, right, server

__all__ = ['files', 'right', 'server']  # fixtures

pytestmark = pytest.mark.needs('ray', 'httpx')


def test_a_full_queue(server, right):
    """Who is let in gets a right answer; others are told when to come."""
    names = ['birds', 'dogs']
    statuses = ask_many(server, right, 300, 150, names, patience=0)
    assert {*statuses} == {200, 503}
    assert ask_many(server, right, 300, 150, names) == [200] * 300
    health = server.client.call('GET', '/healthz')
    assert health == dict(status='ready', tasks=4)


def test_a_replica_is_killed(server, right, files):
    victim, other = server.replicas()
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(ask_many, server, right, 400, 8, [*files], 0)
        time.sleep(0.3)
        os.kill(victim, signal.SIGKILL)
        killed = time.monotonic()
        statuses = load.result()
    failed = [status for status in statuses if status != 200]
    assert len(failed) <= 8  # those in flight
    assert ask_many(server, right, 40, 8, [*files]) == [200] * 40
    while len({*server.replicas()} - {victim}) < 2:
        assert time.monotonic() < killed + 60
        time.sleep(0.5)
    took = time.monotonic() - killed
    print(f'failed: {failed}; another replica after {took:.1f} s')


def test_all_replicas_are_killed(server, right):
    """Callers who try again after a 503, as ours do, get answers."""
    for victim in server.replicas():
        os.kill(victim, signal.SIGKILL)
    killed = time.monotonic()
    assert ask_many(server, right, 8, 8, ['birds'], 90) == [200] * 8
    print(f'answers again after {time.monotonic() - killed:.1f} s')


def test_it_answers_what_it_has_begun(server, right, files):
    before = len(server.errors.read_text())  # Ray says what was killed
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(ask_many, server, right, 400, 8, [*files], 0)
        time.sleep(0.3)
        assert server.end() == 0
        statuses = load.result()
    print(Counter(statuses))
    assert statuses[0] == 200
    others = [str(one) for one in statuses if one not in (200, 503)]
    assert all(' does not answer as a server' in one for one in others)
    assert sum('[Errno 111]' not in one for one in others) <= 8  # in flight
    assert server.process.stdout.read() == ''
    assert 'Traceback' not in server.errors.read_text()[before:]
    assert not descendants(server.process.pid)
