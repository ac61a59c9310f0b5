"""Claims are given once, dead workers' runs again, results kept."""

import threading

import pytest
from mmengine.config import Config

from vptm_mm.compare import study as study_module
from vptm_mm.compare.board import DONE, FAILED, OPEN, RUNNING
from vptm_mm.compare.jobs import Job
from vptm_mm.compare.optuna_import import sqlite_url
from vptm_mm.compare.search import Point
from vptm_mm.compare.study import MAX_DEATHS, Study


def make_job(name='a', slot='') -> Job:
    return Job(
        dataset='digits',
        method='VPTM',
        stage='search' if slot else 'final',
        seed=0,
        key=f'{name}/{slot}' if slot else name,
        slot=slot,
        point=Point(0.1, 0.0),
        cfg=Config(dict(name=name)),
        digest='d',
    )


@pytest.fixture(params=['sqlite', 'journal'])
def storage(request, tmp_path) -> str:
    if request.param == 'sqlite':
        return f'sqlite:///{tmp_path}/new/study.db'
    return str(tmp_path / 'new' / 'study.journal')


def test_a_run_goes_from_open_to_done(storage):
    study = Study(storage, 's')
    job = make_job('a', 'lr 0.1')
    assert study.read().get(job.key).state == OPEN
    claim = study.claim(job)
    entry = study.read().get(job.key)
    assert entry.state == RUNNING
    assert entry.slot == 'lr 0.1'
    assert entry.point == dict(learning_rate=0.1, weight_decay=0.0)
    assert study.beat(claim)
    study.finish(claim, dict(val=88.5))
    # Another worker, later.
    entry = Study(storage, 's').read().get(job.key)
    assert entry.state == DONE
    assert entry.result == dict(val=88.5)
    assert Study(storage, 's').claim(job) is None


def test_a_failed_run_is_kept_with_its_error_until_it_is_retried(storage):
    study = Study(storage, 's')
    study.finish(study.claim(make_job()), dict(error='ValueError: no'))
    entry = study.read().get('a')
    assert entry.state == FAILED
    assert entry.result['error'] == 'ValueError: no'
    assert study.claim(make_job()) is None
    study.retry_failed()
    assert study.read().get('a').state == OPEN
    study.finish(study.claim(make_job()), dict(val=1.0))
    assert study.read().get('a').state == DONE


def test_a_released_claim_is_open_again(storage):
    study = Study(storage, 's')
    study.release(study.claim(make_job()))
    assert study.read().get('a').state == OPEN
    assert study.claim(make_job()) is not None


def test_workers_that_race_claim_each_run_once(storage):
    jobs = [make_job(name) for name in 'abc']
    studies = [Study(storage, 's') for _ in range(3)]
    barrier = threading.Barrier(len(studies))
    claimed: list[str] = []
    errors: list[Exception] = []

    def work(study):
        try:
            for job in jobs:
                barrier.wait(timeout=60)
                if study.claim(job) is not None:
                    claimed.append(job.key)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(s,)) for s in studies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sorted(claimed) == ['a', 'b', 'c']


def test_workers_that_start_together_open_one_study(storage):
    barrier = threading.Barrier(3)
    errors: list[Exception] = []

    def work():
        try:
            barrier.wait(timeout=60)
            Study(storage, 's').read()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


class Clock:
    """Stands in for ``time`` of the study."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(study_module, 'time', clock)
    return clock


def test_the_claim_of_a_killed_worker_is_given_free(storage, clock):
    dead = Study(storage, 's', stale_after=10)
    claim = dead.claim(make_job())
    alive = Study(storage, 's', stale_after=10)
    assert alive.read().get('a').state == RUNNING
    clock.now = 9
    assert dead.beat(claim)
    assert alive.read().get('a').state == RUNNING
    clock.now = 18  # 9 s after its last sign of life
    assert alive.read().get('a').state == RUNNING
    clock.now = 20
    assert alive.read().get('a').state == OPEN
    again = alive.claim(make_job())
    assert again is not None
    # Not dead after all: it notices, and its result does no harm.
    assert not dead.beat(claim)
    dead.finish(claim, dict(val=1.0))
    alive.finish(again, dict(val=2.0))
    assert alive.read().get('a').result == dict(val=2.0)


def test_a_run_that_kills_its_workers_is_given_up(storage, clock):
    study = Study(storage, 's', stale_after=10)
    for _ in range(MAX_DEATHS):
        assert study.read().get('a').state == OPEN
        study.claim(make_job())
        study.read()
        clock.now += 11
        board = study.read()
    board = study.read()
    assert board.get('a').state == FAILED
    assert board.get('a').result['error'] == 'its worker died 3 times'


@pytest.mark.parametrize('name', ['a%20b', 'a?b', 'a{b', 'ü b'])
def test_a_folder_of_any_name_holds_a_study(tmp_path, name):
    path = tmp_path / name / 'study.db'
    assert Study(sqlite_url(path), 's').read().entries == {}
    assert path.is_file()


@pytest.mark.parametrize('what', ['folder', 'sqlite'])
def test_a_file_that_is_no_journal(tmp_path, what):
    path = tmp_path
    if what == 'sqlite':
        path = tmp_path / 'study.db'
        Study(f'sqlite:///{path}', 's')
    text = (
        f"storage '{path}' cannot be opened as a journal .* sqlite:///{path}"
    )
    with pytest.raises(ValueError, match=text):
        Study(str(path), 's')


def test_a_storage_that_cannot_be_opened(monkeypatch):
    monkeypatch.setattr(study_module.time, 'sleep', lambda seconds: None)
    text = "storage 'nosql://x' cannot be opened: .* such as sqlite:///"
    with pytest.raises(ValueError, match=text):
        Study('nosql://x', 's')
