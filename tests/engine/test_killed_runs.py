"""A run that is killed and resumed ends like the one left alone.

``tests/nightly/test_killed_runs.py`` kills many.
"""

import random
import time
from functools import cache

import pytest

from .made_runs import Run, differences, outcome


@pytest.fixture(scope='module')
def left_alone(tmp_path_factory):
    """Moments and outcome of a run that nobody disturbs, by workers."""

    @cache
    def run(workers):
        folder = tmp_path_factory.mktemp(f'alone_{workers}') / 'run'
        alone = Run(folder, workers)
        assert alone.end() == 0
        assert alone.moments[-1] == 'end'
        return alone.moments, outcome(folder)

    return run


def kill_and_resume(folder, left_alone, number):
    """Every third kill is aimed at a file that is being written."""
    workers = 2 if number % 2 else 0
    moments, expected = left_alone(workers)
    rng = random.Random(number)
    candidates = [
        count
        for count, moment in enumerate(moments, 1)
        if number % 3 or moment.endswith('.part')
    ]
    count, delay = rng.choice(candidates), rng.uniform(0, 0.08)
    killed = Run(folder, workers)
    killed.wait_for(count)
    time.sleep(delay)
    killed.kill()
    moment = killed.moments[-1]
    left = sorted(path.name for path in folder.glob('*.pt*'))
    resumed = Run(folder, workers)
    assert resumed.end() == 0
    found = differences(outcome(folder), expected)
    start = next(m for m in resumed.moments if m.startswith('start'))
    print(
        f'\n| {number + 1} | {workers} | {moment} + {1000 * delay:.0f} ms '
        f'| {", ".join(left)} | {start} | '
        f'{found or "identical"} |'
    )
    assert found == []


@pytest.mark.parametrize('number', [0, 1])
def test_killed_and_resumed(tmp_path, left_alone, number):
    """While a file is written; with workers of data loaders."""
    kill_and_resume(tmp_path / 'run', left_alone, number)
