"""Images a second: in the log and among the scalars, of training only."""

import re
from types import SimpleNamespace

from vptm_mm.engine import ThroughputHook

from .made_digits import digits_runner, read_log
from .test_watching import read_scalars


def test_an_epoch_of_a_run(tmp_path, monkeypatch):
    """The clock of the hook goes on by 4 s between its two looks."""
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr(
        'vptm_mm.engine.hooks.throughput.time',
        SimpleNamespace(perf_counter=lambda: next(clock)),
    )
    runner = digits_runner(
        tmp_path,
        **{
            'train_cfg.max_epochs': 2,
            'default_hooks.throughput': dict(type='ThroughputHook'),
        },
    )
    runner.train()
    lines = re.findall(r'Throughput: (.*)', read_log(tmp_path))
    assert lines == ['16.0 images a second, loading included.'] * 2
    points = [
        (line['iter'], line['images_per_second'])
        for line in read_scalars(tmp_path)
        if 'images_per_second' in line
    ]
    assert points == [(2, 16.0), (4, 16.0)]
    # At the end of an epoch it comes before checkpoints are written.
    order = [type(hook).__name__ for hook in runner.hooks]
    assert order.index('ThroughputHook') < order.index(
        'ResumableCheckpointHook'
    )


class Recorder:
    """A runner of three processes that keeps what is written."""

    iter = 7
    world_size = 3

    def __init__(self):
        self.lines, self.points = [], []
        self.logger = SimpleNamespace(info=self.lines.append)
        self.visualizer = SimpleNamespace(
            add_scalars=lambda scalars, step: self.points.append(scalars)
        )


def test_images_of_all_processes(monkeypatch):
    runner, hook = Recorder(), ThroughputHook()
    clock = iter([100.0, 102.0])
    monkeypatch.setattr(
        'vptm_mm.engine.hooks.throughput.time',
        SimpleNamespace(perf_counter=lambda: next(clock)),
    )
    hook.before_train_epoch(runner)
    for images in (4, 4, 2):
        hook.after_train_iter(runner, 0, dict(data_samples=[None] * images))
    hook.after_train_epoch(runner)
    assert runner.points == [dict(images_per_second=15.0, iter=7)]


def test_an_epoch_that_was_over_when_it_was_resumed():
    runner, hook = Recorder(), ThroughputHook()
    hook.before_train_epoch(runner)
    hook.after_train_epoch(runner)
    assert runner.points == runner.lines == []
