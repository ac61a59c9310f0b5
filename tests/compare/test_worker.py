"""Workers share what is open, and repeat nothing."""

import io
import threading

import pytest
from rich.console import Console

from vptm_mm.compare.board import Board, Entry
from vptm_mm.compare.jobs import make_pairs
from vptm_mm.compare.plan import Method
from vptm_mm.compare.search import PRESETS, Point
from vptm_mm.compare.study import Study
from vptm_mm.compare.worker import Worker, time_left

from ..conftest import ROOT
from .made_plan import (
    ON_ALL,
    TWO_RATES,
    VPTM,
    FakeRuns,
    make_plan,
    make_small_pairs,
)


def make_worker(folder, pairs, runs, name='work'):
    study = Study(f'sqlite:///{folder}/study.db', 's', stale_after=60)
    text = io.StringIO()
    console = Console(file=text, width=200)
    worker = Worker(study, pairs, folder / name, console, runs)
    return worker, text


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
    assert (
        '1/8 digits, VPTM, search, seed 0, lr 0.05: validation 80.50' in lines
    )
    assert '8/8 digits, linear, final, seed 1, lr 0.2: validation' in lines
    assert 'test 71.00' in lines


def test_started_again_it_repeats_nothing(tmp_path, pairs):
    make_worker(tmp_path, pairs, FakeRuns())[0].run()
    results = sorted((tmp_path / 'work' / 'results').glob('*.json'))
    assert len(results) == 8
    again = FakeRuns()
    make_worker(tmp_path, pairs, again)[0].run()
    assert again.started == []
    # The study is lost: results of the work dir are taken.
    (tmp_path / 'study.db').unlink()
    worker, text = make_worker(tmp_path, pairs, again)
    worker.run()
    assert again.started == []
    assert text.getvalue().count('(known)') == 8


def test_without_validation_it_repeats_nothing_either(tmp_path):
    pairs = make_small_pairs(datasets=(ON_ALL,))
    runs = FakeRuns()
    worker, text = make_worker(tmp_path, pairs, runs)
    worker.run()
    assert len(runs.started) == 8
    assert 'final, seed 1, lr 0.2: test 71.00 (1 s)' in text.getvalue()
    board = make_worker(tmp_path, pairs, runs)[0].run()
    assert len(runs.started) == 8
    assert {entry.state for entry in board.entries.values()} == {'done'}


def test_weights_that_change_meanwhile(tmp_path):
    """A result belongs to the weights that ran, or to none."""
    source = ROOT / 'vptm_mm' / 'checkpoints' / 'beitv2-tiny_digits.pth'
    weights = tmp_path / 'backbone.pth'
    weights.write_bytes(source.read_bytes())
    plan = make_plan(
        seeds=2,
        methods=(Method('VPTM', VPTM, PRESETS['fixed']),),
        cfg_options={'model.backbone.init_cfg.checkpoint': str(weights)},
    )

    class Rewriting(FakeRuns):
        def __call__(self, cfg, folder):
            if self.started:
                weights.write_bytes(b'of another round')
            return super().__call__(cfg, folder)

    worker, text = make_worker(tmp_path, make_pairs(plan), Rewriting())
    worker.run()
    assert 'seed 1, ' in text.getvalue()
    assert 'FAILED, a file of weights was rewritten' in text.getvalue()
    assert len([*(tmp_path / 'work' / 'results').glob('*.json')]) == 1


def test_weights_that_change_between_two_runs(tmp_path):
    """No run starts on others; keys were made of the first ones."""
    weights = tmp_path / 'backbone.pth'
    weights.write_bytes(b'first')
    plan = make_plan(
        seeds=2,
        methods=(Method('VPTM', VPTM, TWO_RATES),),
        cfg_options={'model.backbone.init_cfg.checkpoint': str(weights)},
    )
    (pair,) = make_pairs(plan)
    assert pair.open_search(Board()).digest
    jobs = [pair.final(0, Point(0.2), seed) for seed in range(2)]
    worker, _ = make_worker(tmp_path, [pair], FakeRuns())
    weights.write_bytes(b'of another round')
    for job in jobs:
        result = worker._run(job, 0)
        assert 'a file of weights was rewritten' in result['error']
    assert not worker.start_run.started
    with pytest.raises(ValueError, match='a file of weights was rewritten'):
        pair.open_search(Board())


def test_two_workers_do_each_run_once(tmp_path, pairs):
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
    board = worker.run()
    states = [entry.state for entry in board.entries.values()]
    assert states.count('failed') == 1
    assert states.count('done') == 7
    assert 'FAILED, RuntimeError: made to fail' in text.getvalue()


def test_what_failed_elsewhere_is_tried_again(tmp_path, pairs):
    """Another machine, with a work dir of its own, asks for it."""

    def fail(cfg):
        return cfg['randomness']['seed'] == 1

    here = make_worker(tmp_path, pairs, FakeRuns(fail=fail), 'here')[0]
    here.run()
    there = make_worker(tmp_path, pairs, FakeRuns(), 'there')[0]
    there.study.retry_failed()
    here.start_run = again = FakeRuns()
    board = here.run()
    assert len(again.started) == 2
    assert all(entry.state == 'done' for entry in board.entries.values())


def test_a_method_whose_search_fails_is_skipped(tmp_path, pairs):
    def fail(cfg):
        return cfg['model']['backbone']['type'] == 'VPTMBackbone'

    runs = FakeRuns(fail=fail)
    make_worker(tmp_path, pairs, runs)[0].run()
    assert len(runs.started) == 6  # no final run of VPTM


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
    states = [e.state for e in worker.study.read().entries.values()]
    assert states == ['open']


def test_time_left_is_that_of_the_mean_run():
    done = [Entry(str(i), 'done', result=dict(seconds=30.0)) for i in range(2)]
    assert time_left(Board(done), 1) == '30 s left'
    assert time_left(Board(done), 10) == '5 min left'
    assert time_left(Board(done), 250) == '2 h 5 min left'
    running = [Entry('a', 'running'), Entry('b', 'running')]
    assert time_left(Board(done + running), 10) == '2 min left'
    assert time_left(Board(), 10) == ''
