"""Workers share what is to be done, and repeat nothing."""

import io
import threading

import pytest
from rich.console import Console

from vptm_mm.compare.plan import DataSet, Method
from vptm_mm.compare.study import Studies
from vptm_mm.compare.worker import Worker

from .made_plan import (
    TWO_RATES,
    VPTM,
    FakeRuns,
    make_small_pairs,
)


def make_worker(folder, pairs, runs, name='work', **flags):
    studies = Studies(folder / 'study.log', **flags)
    text = io.StringIO()
    console = Console(file=text, width=200)
    worker = Worker(studies, pairs, folder / name, console, runs)
    return worker, text


def errors_of(worker) -> list[str | None]:
    """The error of each run; None of one that ended well."""
    return [
        run.result.get('error')
        for series in worker.series()
        for run in worker.studies.runs(series).values()
        if run.result
    ]


@pytest.fixture(scope='module')
def pairs():
    return make_small_pairs()


def test_searches_come_first_then_final_runs(tmp_path, pairs):
    runs = FakeRuns()
    worker, text = make_worker(tmp_path, pairs, runs)
    worker.run()
    assert len(runs.started) == 8
    tested = [cfg['test_dataloader'] is not None for cfg in runs.started]
    assert tested == [False] * 4 + [True] * 4
    lines = text.getvalue()
    said = '1/8 digits, VPTM, search, learning_rate 0.05: validation 80.50'
    assert said in lines
    said = '8/8 digits, linear, final, learning_rate 0.2, seed 1: validation'
    assert said in lines
    assert 'test 71.00' in lines


def test_started_again_it_repeats_nothing(tmp_path, pairs):
    make_worker(tmp_path, pairs, FakeRuns())[0].run()
    again = FakeRuns()
    worker, _ = make_worker(tmp_path, pairs, again)
    worker.run()
    assert again.started == []
    assert errors_of(worker) == [None] * 8
    # Nor does another plan of the same runs, on the same storage.
    pairs = make_small_pairs(name='another', seeds=3)
    make_worker(tmp_path, pairs, again, 'another')[0].run()
    assert [cfg['randomness']['seed'] for cfg in again.started] == [2, 2]


def test_two_workers_do_each_run_once(tmp_path):
    runs = FakeRuns()
    workers = [
        make_worker(tmp_path, make_small_pairs(), runs, name)[0]
        for name in ('one', 'two')
    ]
    threads = [threading.Thread(target=worker.run) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs.started) == 8
    seen = [
        (
            cfg['model']['backbone']['type'],
            cfg['optim_wrapper']['optimizer']['lr'],
            cfg['randomness']['seed'],
            cfg['test_dataloader'] is None,
        )
        for cfg in runs.started
    ]
    assert len(set(seen)) == 8


def test_a_failed_run_is_recorded_and_the_rest_goes_on(tmp_path, pairs):
    def fail(cfg):
        backbone = cfg['model']['backbone']['type']
        return backbone == 'VPTMBackbone' and cfg['randomness']['seed'] == 1

    worker, text = make_worker(tmp_path, pairs, FakeRuns(fail=fail))
    worker.run()
    errors = errors_of(worker)
    assert errors.count('RuntimeError: made to fail') == 1
    assert errors.count(None) == 7
    assert 'FAILED, RuntimeError: made to fail' in text.getvalue()


def test_what_failed_is_tried_again(tmp_path, pairs):
    def fail(cfg):
        return cfg['randomness']['seed'] == 1

    make_worker(tmp_path, pairs, FakeRuns(fail=fail), 'here')[0].run()
    again = FakeRuns()
    worker, _ = make_worker(tmp_path, pairs, again, 'there', retry_failed=True)
    worker.run()
    assert len(again.started) == 2
    assert errors_of(worker) == [None] * 8


def test_a_crash_names_its_signal(tmp_path, pairs):
    runs = FakeRuns(crash=lambda cfg: cfg['randomness']['seed'] == 1)
    worker, text = make_worker(tmp_path, pairs, runs)
    worker.run()
    assert 'the run was ended by SIGKILL; out of memory?' in text.getvalue()


def test_an_interrupted_worker_gives_its_run_back(tmp_path, pairs):
    def interrupt(cfg, folder):
        raise KeyboardInterrupt('stop')

    worker, _ = make_worker(tmp_path, pairs, interrupt)
    with pytest.raises(KeyboardInterrupt, match='stop'):
        worker.run()
    # At once, not after a minute without a heartbeat.
    other, _ = make_worker(tmp_path, pairs, FakeRuns(), 'other')
    slot = 'learning_rate 0.05'
    trial = other.studies.take(pairs[0].search)
    assert trial.user_attrs['slot'] == slot


def test_runs_are_counted_before_they_are_known(tmp_path):
    """Those on other data sets, too, which wait for the one that chooses."""
    other = DataSet('other', cfg_options={'train_dataloader.batch_size': 8})
    pairs = make_small_pairs(
        methods=(Method('m', VPTM, TWO_RATES),),
        datasets=(other, DataSet('digits')),
        search_on='digits',
    )
    worker, _ = make_worker(tmp_path, pairs, FakeRuns())
    assert worker.count() == (0, 6)
    worker.run()
    assert worker.count() == (6, 6)
