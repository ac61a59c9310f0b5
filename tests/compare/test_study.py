"""Runs are taken once, those of dead workers again; results are kept."""

import sys
import threading

import optuna
import pytest
import sqlalchemy
from mmengine.config import Config

from vptm_mm.compare import study as study_module
from vptm_mm.compare.search import GridSearch, Seeds, TPESearch
from vptm_mm.compare.series import FINAL, SEARCH, Series
from vptm_mm.compare.study import MAX_DEATHS, Studies, sqlite_url


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
RATES = make_series(GridSearch((0.05, 0.2), growths=1), 'c')


@pytest.fixture
def storage(tmp_path) -> str:
    return f'sqlite:///{tmp_path}/new/study.db'


def state_of(studies, series=ONE, slot='seed 0') -> str:
    run = studies.runs(series)[slot]
    if run.is_ended:
        return 'failed' if 'error' in run.result else 'done'
    return 'open' if run.trial is None or run.is_waiting else 'running'


def test_a_run_goes_from_open_to_done(storage):
    studies = Studies(storage)
    assert state_of(studies) == 'open'
    trial = studies.take(ONE)
    assert trial.params == dict(seed=0)
    assert state_of(studies) == 'running'
    assert studies.finish(ONE, trial, dict(test=88.5))
    # Another worker, later.
    studies = Studies(storage)
    assert state_of(studies) == 'done'
    (run,) = studies.runs(ONE).values()
    assert run.result == dict(test=88.5)
    assert run.value == 88.5
    assert studies.take(ONE) is None


def test_a_grid_grows_in_its_study(storage):
    studies = Studies(storage)
    while (trial := studies.take(RATES)) is not None:
        studies.finish(RATES, trial, dict(val=trial.params['learning_rate']))
    points = [run.point for run in studies.runs(RATES).values()]
    assert [point['learning_rate'] for point in points] == [0.05, 0.2, 0.8]


def test_workers_of_tpe_try_other_points(storage):
    series = make_series(TPESearch(trials=4))
    studies = [Studies(storage) for _ in range(2)]
    trials = [studies[number % 2].take(series) for number in range(4)]
    assert len({trial.params['learning_rate'] for trial in trials}) == 4
    for trial in trials:
        studies[0].finish(series, trial, dict(val=1.0))
    runs = studies[1].runs(series).values()
    assert [run.point for run in runs] == [trial.params for trial in trials]
    assert studies[1].take(series) is None


def test_a_failed_run_is_kept_with_its_error_until_it_is_retried(storage):
    studies = Studies(storage)
    studies.finish(ONE, studies.take(ONE), dict(error='ValueError: no'))
    assert state_of(studies) == 'failed'
    assert studies.runs(ONE)['seed 0'].result['error'] == 'ValueError: no'
    assert studies.take(ONE) is None
    # By another worker, for all.
    Studies(storage).retry_failed(ONE)
    studies = Studies(storage)
    assert state_of(studies) == 'open'
    studies.finish(ONE, studies.take(ONE), dict(test=1.0))
    assert state_of(studies) == 'done'


def test_a_run_that_is_given_back_is_open_again(storage):
    studies = Studies(storage)
    for _ in range(MAX_DEATHS + 1):
        assert state_of(studies) == 'open'
        studies.give_back(ONE, studies.take(ONE))
    assert studies.take(ONE) is not None


def test_equal_settings_share_a_study_whatever_they_are_called(storage):
    studies = Studies(storage)
    studies.finish(ONE, studies.take(ONE), dict(test=1.0))
    other = Series('x', 'y', FINAL, Seeds(1), Config, lambda: 'a')
    for later in studies, Studies(storage):
        assert state_of(later, other) == 'done'


def test_what_another_plan_queued_is_left_alone(storage):
    """Its worker was killed before it took the run."""
    studies = Studies(storage)
    studies._study(TWO).enqueue_trial(dict(seed=7), dict(slot='seed 7'))
    trial = studies.take(TWO)
    assert trial.params == dict(seed=0)


def in_threads(works) -> list[Exception]:
    """Do all at once, and return what went wrong."""
    barrier = threading.Barrier(len(works))
    errors: list[Exception] = []

    def run(work):
        try:
            barrier.wait(timeout=60)
            work()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_workers_that_race_take_each_run_once(storage):
    """Optuna alone hands a queued run to two of them on SQLite."""
    seeds = make_series(Seeds(6))
    taken: list[int] = []

    def work(studies):
        while (trial := studies.take(seeds)) is not None:
            taken.append(trial.params['seed'])

    workers = [Studies(storage) for _ in range(3)]
    assert not in_threads([lambda w=worker: work(w) for worker in workers])
    assert sorted(taken) == list(range(6))


def test_workers_that_start_together_open_one_study(storage):
    works = [lambda: Studies(storage).runs(ONE) for _ in range(3)]
    assert not in_threads(works)
    assert len(optuna.get_all_study_names(storage)) == 1


def stop_heart(storage, trial):
    """Let its last heartbeat be of two minutes ago."""
    engine = sqlalchemy.create_engine(storage)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            'update trial_heartbeats set heartbeat = '
            "datetime('now', '-120 seconds') where trial_id = ?",
            (trial._trial_id,),
        )


def test_the_run_of_a_killed_worker_is_given_free(storage):
    dead, alive = Studies(storage), Studies(storage)
    trial = dead.take(ONE)
    assert alive.take(ONE) is None
    stop_heart(storage, trial)
    dead.beat(trial)
    assert alive.take(ONE) is None
    stop_heart(storage, trial)
    again = alive.take(ONE)
    assert again.params == dict(seed=0)
    # Not dead after all: it notices, and its result does no harm.
    assert not dead.finish(ONE, trial, dict(test=1.0))
    assert alive.finish(ONE, again, dict(test=2.0))
    assert alive.runs(ONE)['seed 0'].result == dict(test=2.0)


def test_a_worker_that_is_killed_before_its_first_beat(storage, monkeypatch):
    """It has taken a trial, which no heartbeat tells of."""
    with monkeypatch.context() as patch:
        patch.setattr(Studies, 'beat', lambda *_: sys.exit(1))
        with pytest.raises(SystemExit, match='1'):
            Studies(storage).take(ONE)
    alive = Studies(storage)
    assert alive.take(ONE) is None
    (trial,) = alive._trials(ONE)
    stop_heart(storage, trial)
    assert alive.take(ONE).params == dict(seed=0)


def test_a_run_that_kills_its_workers_is_given_up(storage):
    studies = Studies(storage)
    for _ in range(MAX_DEATHS):
        assert state_of(studies) == 'open'
        trial = studies.take(ONE)
        stop_heart(storage, trial)
        with study_module._experimental():
            optuna.storages.fail_stale_trials(studies._study(ONE))
    assert studies.take(ONE) is None
    assert state_of(studies) == 'failed'
    error = studies.runs(ONE)['seed 0'].result['error']
    assert error == 'its worker died 3 times'
    studies.retry_failed(ONE)
    assert studies.take(ONE) is not None


@pytest.mark.parametrize('name', ['a%20b', 'a?b', 'a{b', 'ü b'])
def test_a_folder_of_any_name_holds_a_study(tmp_path, name):
    path = tmp_path / name / 'study.db'
    assert state_of(Studies(sqlite_url(path))) == 'open'
    assert path.is_file()


def test_a_path_is_no_storage(tmp_path):
    text = "storage '.*study.journal' must be the URL of a database, as sqli"
    with pytest.raises(ValueError, match=text):
        Studies(str(tmp_path / 'study.journal'))


@pytest.mark.parametrize('url', ['nosql://x', 'sqlite:////dev/null/study.db'])
def test_a_storage_that_cannot_be_opened(monkeypatch, url):
    monkeypatch.setattr(study_module.time, 'sleep', lambda seconds: None)
    text = f'storage {url} cannot be opened: .* such as sqlite:///'
    with pytest.raises(ValueError, match=text):
        Studies(url)
