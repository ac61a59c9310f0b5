"""Runs are taken once, those of dead workers again; results are kept."""

import threading
import time

import pytest
from mmengine.config import Config

from vptm_mm.compare.search import Search, Seeds
from vptm_mm.compare.study import (
    FINAL,
    MAX_DEATHS,
    SEARCH,
    Series,
    Studies,
)


def make_series(space, name='a') -> Series:
    return Series(
        dataset='digits',
        method='VPTM',
        stage=FINAL if isinstance(space, Seeds) else SEARCH,
        space=space,
        config=Config,
        digest=lambda: name,
    )


ONE, TWO = make_series(Seeds(1)), make_series(Seeds(2), 'b')
RATES = make_series(Search((0.05, 0.2), growths=1), 'c')


@pytest.fixture
def journal(tmp_path):
    return tmp_path / 'new' / 'study.log'


def state_of(studies, series=ONE, slot='seed 0') -> str:
    run = studies.runs(series)[slot]
    if run.result:
        return 'failed' if 'error' in run.result else 'done'
    return 'running' if run.is_begun else 'open'


def test_a_run_goes_from_open_to_done(journal):
    studies = Studies(journal)
    assert state_of(studies) == 'open'
    trial = studies.take(ONE)
    assert trial.params == dict(seed=0)
    assert state_of(studies) == 'running'
    assert studies.finish(ONE, trial, dict(test=88.5))
    # Another worker, later, of a plan that calls it by other names.
    studies = Studies(journal)
    other = Series('x', 'y', FINAL, Seeds(1), Config, lambda: 'a')
    assert state_of(studies, other) == 'done'
    (run,) = studies.runs(ONE).values()
    assert run.result == dict(test=88.5)
    assert run.value == 88.5
    assert studies.take(ONE) is None


def test_a_grid_grows_in_its_study(journal):
    studies = Studies(journal)
    while (trial := studies.take(RATES)) is not None:
        studies.finish(RATES, trial, dict(val=trial.params['learning_rate']))
    points = [run.point for run in studies.runs(RATES).values()]
    assert [point['learning_rate'] for point in points] == [0.05, 0.2, 0.8]


def test_workers_of_tpe_try_other_points(journal):
    series = make_series(Search((1e-4, 1.0), (1e-5, 0.1), trials=4))
    studies = [Studies(journal) for _ in range(2)]
    trials = [studies[index % 2].take(series) for index in range(4)]
    assert studies[0].take(series) is None
    assert len({trial.params['learning_rate'] for trial in trials}) == 4
    studies[0].finish(series, trials[0], dict(val=1.0))
    runs = studies[1].runs(series)
    assert [run.point for run in runs.values()] == [t.params for t in trials]


def test_failed_runs_are_done_again_if_they_are_asked_for(journal):
    studies = Studies(journal)
    studies.finish(ONE, studies.take(ONE), dict(error='x'))
    assert state_of(studies) == 'failed'
    assert Studies(journal).take(ONE) is None
    studies = Studies(journal, retry_failed=True)
    studies.finish(ONE, studies.take(ONE), dict(error='y'))
    assert state_of(studies) == 'failed'
    assert studies.take(ONE) is None
    studies = Studies(journal, retry_failed=True)
    studies.finish(ONE, studies.take(ONE), dict(test=1.0))
    assert state_of(Studies(journal)) == 'done'


def test_a_run_that_is_given_back_is_open_again(journal):
    studies = Studies(journal)
    for _ in range(MAX_DEATHS + 1):
        assert state_of(studies) == 'open'
        studies.give_back(studies.take(ONE))
    assert studies.take(ONE) is not None


def test_what_is_left_in_the_queue(journal):
    """Its worker was killed before it took the run."""
    studies = Studies(journal)
    for seed in 7, 0, 1:
        studies._study(TWO).enqueue_trial(
            dict(seed=seed), dict(slot=f'seed {seed}')
        )
    seeds = [studies.take(TWO).params['seed'] for _ in range(2)]
    assert seeds == [0, 1]
    assert studies.take(TWO) is None


def test_workers_that_race_take_each_run_once(journal):
    seeds = make_series(Seeds(6))
    taken: list[int] = []
    barrier = threading.Barrier(3)

    def work():
        studies = Studies(journal)
        barrier.wait(timeout=60)
        while (trial := studies.take(seeds)) is not None:
            taken.append(trial.params['seed'])

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(6))


def stop_heart(trial):
    """Let its last sign of life be of two minutes ago."""
    trial.set_user_attr('beat', time.time() - 120)


def test_the_run_of_a_killed_worker_is_given_free(journal):
    dead, alive = Studies(journal), Studies(journal)
    trial = dead.take(ONE)
    assert alive.take(ONE) is None
    stop_heart(trial)
    dead.beat(trial)
    assert alive.take(ONE) is None
    stop_heart(trial)
    again = alive.take(ONE)
    assert again.params == dict(seed=0)
    # Not dead after all: it notices, and its result does no harm.
    dead.beat(trial)
    assert not dead.finish(ONE, trial, dict(test=1.0))
    assert alive.finish(ONE, again, dict(test=2.0))
    assert alive.runs(ONE)['seed 0'].result == dict(test=2.0)


def test_a_worker_that_is_killed_before_its_first_sign(journal):
    studies = Studies(journal)
    study = studies._study(ONE)
    study.enqueue_trial(dict(seed=0), dict(slot='seed 0'))
    study.ask()
    assert studies.take(ONE) is None
    assert Studies(journal, stale_after=-1).take(ONE).params == dict(seed=0)


def test_a_run_that_kills_its_workers_is_given_up(journal):
    studies = Studies(journal)
    for _ in range(MAX_DEATHS):
        assert state_of(studies) == 'open'
        stop_heart(studies.take(ONE))
        studies._end_dead(studies._study(ONE))
    assert studies.take(ONE) is None
    error = studies.runs(ONE)['seed 0'].result['error']
    assert error == 'its worker died 3 times'
    assert Studies(journal, retry_failed=True).take(ONE) is not None
