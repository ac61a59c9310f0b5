"""Runs that are killed or asked to stop, and go on as if nothing had been.

``tests/nightly/test_stopped_runs.py`` stops many, and in other ways.
"""

import os
import random
import shutil
import signal
import time
from pathlib import Path

from vptm_mm.weights import load_file

from .made_digits import digits_runner, read_log_of
from .made_runs import Run, differences, outcome

STOPPED = 75


def signal_all(process, number):
    """Signal a process and its workers, as Slurm and terminals do."""
    path = Path(f'/proc/{process.pid}/task/{process.pid}/children')
    for pid in (process.pid, *map(int, path.read_text().split())):
        os.kill(pid, number)


def stop_and_resume(folder, expected, workers, number, moment, start):
    """The step is finished; the run goes on in the middle of the epoch."""
    stopped = Run(folder, workers)
    stopped.wait_for_text(moment)
    signal_all(stopped.process, number)
    assert stopped.end() == STOPPED
    assert (folder / 'last_checkpoint').read_text().endswith('interrupted.pth')
    log = (folder.parent / f'{folder.name}_0.txt').read_text()
    assert f'by {number.name}: {folder}/interrupted.pth' in log
    meta = load_file(folder / 'interrupted.pth')['meta']
    assert meta['iter'] in start
    resumed = Run(folder, workers)
    assert resumed.end() == 0
    assert f'start at iteration {meta["iter"]}' in resumed.moments
    assert 'epoch 2, batch 2' not in resumed.moments
    assert differences(outcome(folder), expected) == []


def test_asked_to_stop(tmp_path, left_alone):
    _, expected = left_alone(('workers', 0))
    moment, start = 'epoch 2, batch 3', range(8, 12)
    stop_and_resume(
        tmp_path / 'run', expected, 2, signal.SIGINT, moment, start
    )


def kill_and_resume(folder, left_alone, number):
    """Every third kill is aimed at a file that is being written."""
    workers = 2 if number % 2 else 0
    moments, expected = left_alone(('workers', workers))
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


def test_killed_while_a_file_is_written(tmp_path, left_alone):
    kill_and_resume(tmp_path / 'run', left_alone, 0)


def test_a_damaged_checkpoint(tmp_path):
    """The one before it is taken, and what lies about is cleaned up."""
    options = {'train_cfg.max_epochs': 2}
    runner = digits_runner(tmp_path, **options)
    runner.train()
    newest, part = tmp_path / 'epoch_2.pth', tmp_path / 'a.0123abcd.part'
    newest.write_bytes(newest.read_bytes()[:100_000])
    part.write_bytes(b'a part')
    (tmp_path / 'last_checkpoint').write_text('')
    resumed = digits_runner(tmp_path, resume=True, **options)
    resumed.train()
    log = read_log_of(resumed)
    assert f'damaged checkpoint {newest} (100000 bytes)' in log
    assert 'resumed epoch: 1, iter: 2' in log
    assert not part.exists()
    states = (r.model.state_dict() for r in (runner, resumed))
    assert differences(*map(dict, states)) == []


def test_a_finished_run(tmp_path, finished):
    """It is tested again; nothing else changes."""
    # Without its log, which may be of the same second.
    no_logs = shutil.ignore_patterns('2*')
    shutil.copytree(finished, tmp_path / 'run', ignore=no_logs)
    before = outcome(tmp_path / 'run')
    (tmp_path / 'run' / 'test_results.json').unlink()
    resumed = digits_runner(tmp_path / 'run', resume=True)
    resumed.train()
    assert 'Epoch(train)' not in read_log_of(resumed)
    assert differences(outcome(tmp_path / 'run'), before) == []
