"""Runs that are killed at many moments, and stopped in many ways.

    python -m pytest tests/nightly/test_stopped_runs.py -s

prints each moment at which a run was killed.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mmengine.config import Config

from vptm_mm.weights import load_file

from ..conftest import ROOT
from ..engine.conftest import left_alone
from ..engine.made_runs import OPTIONS, Run, differences, outcome
from ..engine.test_stopped_runs import (
    STOPPED,
    kill_and_resume,
    stop_and_resume,
)

__all__ = ['left_alone']  # a fixture


@pytest.mark.parametrize('number', range(36))
def test_killed_at_a_random_moment(tmp_path, left_alone, number):  # noqa: F811
    kill_and_resume(tmp_path / 'run', left_alone, number)


@pytest.mark.parametrize(
    ('workers', 'number', 'moment', 'start'),
    [
        (2, signal.SIGTERM, 'epoch 2, batch 3', range(8, 12)),
        (0, signal.SIGUSR1, 'validation 2', [12]),
    ],
)
def test_asked_to_stop(tmp_path, left_alone, workers, number, moment, start):  # noqa: F811
    _, expected = left_alone(('workers', 0))
    stop_and_resume(tmp_path / 'run', expected, workers, number, moment, start)


@pytest.mark.timeout(0)
def test_checkpoints_between_epochs(tmp_path, left_alone):  # noqa: F811
    """Killed after a checkpoint that the host's own loop cannot go on from."""
    options = {
        'default_hooks.checkpoint.by_epoch': False,
        'default_hooks.checkpoint.interval': 4,
    }
    folder = tmp_path / 'run'
    killed = Run(folder, 2, **options)
    killed.wait_for_text('epoch 2, batch 5')
    killed.kill()
    resumed = Run(folder, 2, **options)
    assert resumed.end() == 0
    assert 'start at iteration 8' in resumed.moments
    _, expected = left_alone(*options.items())
    assert differences(outcome(folder), expected) == []


def write_config(folder, workers=0):
    cfg = Config.fromfile(ROOT / 'configs' / 'vptm_beitv2-tiny_digits.py')
    cfg.merge_from_dict({**OPTIONS, 'default_hooks.logger.interval': 1})
    cfg.train_dataloader.num_workers = workers
    cfg.dump(folder / 'small.py')


def command(*launcher):
    tool = str(ROOT / 'tools' / 'train.py')
    return [sys.executable, *launcher, tool, 'small.py', '--resume']


def free_port():
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        return server.getsockname()[1]


@pytest.mark.timeout(0)
def test_two_processes_stop_after_the_same_step(tmp_path):
    """Only one of them is asked to."""
    launcher = '-m', 'torch.distributed.run', '--nproc-per-node=2'
    write_config(tmp_path, workers=2)
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}

    def start(name):
        with (tmp_path / f'{name}.txt').open('a') as output:
            return subprocess.Popen(
                [
                    *command(*launcher, f'--master-port={free_port()}'),
                    *('--work-dir', name, '--launcher', 'pytorch'),
                ],
                cwd=tmp_path,
                env=environment,
                stdout=output,
                stderr=output,
            )

    assert start('alone').wait() == 0
    stopped = start('stopped')
    log = tmp_path / 'stopped.txt'
    while 'Epoch(train) [2][1/3]' not in log.read_text():
        assert stopped.poll() is None, log.read_text()[-3000:]
        time.sleep(0.02)
    children = Path(f'/proc/{stopped.pid}/task/{stopped.pid}/children')
    second = int(children.read_text().split()[1])
    os.kill(second, signal.SIGTERM)
    assert stopped.wait() != 0  # torchrun's own code
    text = log.read_text()
    assert f'exitcode  : {STOPPED}' in text
    assert 'interrupted.pth' in text
    found = load_file(tmp_path / 'stopped' / 'interrupted.pth')
    assert found['meta']['epoch'] == 1
    assert found['meta']['iter'] in (4, 5, 6)
    assert start('stopped').wait() == 0
    alone, resumed = (outcome(tmp_path / n) for n in ('alone', 'stopped'))
    assert differences(resumed, alone) == []


@pytest.mark.timeout(0)
def test_a_full_disk(tmp_path):
    """On a file system of its own, with room for two checkpoints."""
    disk = tmp_path / 'disk'
    disk.mkdir()
    write_config(tmp_path)
    mount = 'mount', '-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', str(disk)
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip('mounting needs root')

    def train(folder):
        return subprocess.run(
            [*command(), '--work-dir', str(folder)],
            cwd=tmp_path,
            env={**os.environ, 'OMP_NUM_THREADS': '1'},
            capture_output=True,
            text=True,
        )

    try:
        failed = train(disk / 'run')
        assert failed.returncode == 2
        error = failed.stderr.strip().splitlines()[-1]
        assert error.startswith('WriteError: ')
        assert 'No space left on' in error
        assert '--resume' in error
        left = sorted(path.name for path in (disk / 'run').glob('*.p*'))
        assert left[:2] == ['best_accuracy_top1_epoch_1.pth', 'epoch_1.pth']
        for name in left:
            assert not name.endswith('.part')
        subprocess.run(('mount', '-o', 'remount,size=64m', str(disk)))
        assert train(disk / 'run').returncode == 0
        assert train(tmp_path / 'alone').returncode == 0
        expected = outcome(tmp_path / 'alone')
        assert differences(outcome(disk / 'run'), expected) == []
    finally:
        subprocess.run(('umount', str(disk)), check=True)
