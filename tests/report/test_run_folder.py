"""What is read from a work dir, also from a damaged one."""

import json

import pytest

from vptm_mm.report.run_folder import read_json, read_run

from .made_run import RECORD, make_run, make_start, points


def test_a_whole_run(tmp_path):
    run = read_run(make_run(tmp_path))
    assert run.record == RECORD
    assert run.config.name == 'config.py'
    assert run.checkpoint.name == 'best_accuracy_top1_epoch_2.pth'
    assert run.tests == {'accuracy/top1': 62.5}
    assert [s.name for s in run.sessions] == ['20260102_030405']
    assert run.scalars['loss'] == [(i, 0.5) for i in range(1, 11)]
    # Validations stand at iterations, not at epochs.
    assert run.scalars['accuracy/top1'] == [(5, 5.0), (10, 10.0)]
    assert set(run.scalars) == {
        'lr',
        'loss',
        'tuning/grad_norm',
        'accuracy/top1',
    }


def test_a_resumed_run_counts_iterations_once(tmp_path):
    """Killed at 13, resumed from 10; then tested in the same folder."""
    make_start(tmp_path, '20260102_000001', points(1, 13, 0.5))
    make_start(tmp_path, '20260102_000002', points(11, 20, 0.25))
    tested = make_start(tmp_path, '20260102_000003', [])
    metrics = {'accuracy/top1': 75.0, 'time': 0.1}
    (tested / '20260102_000003.json').write_text(json.dumps(metrics))
    run = read_run(tmp_path)
    assert [step for step, _ in run.scalars['loss']] == list(range(1, 21))
    assert run.scalars['loss'][9:11] == [(10, 0.5), (11, 0.25)]
    assert [s for s, _ in run.scalars['accuracy/top1']] == [5, 10, 15, 20]
    assert len(run.sessions) == 2
    assert run.tests == metrics
    # A run that was started again replaces what was there.
    make_start(tmp_path, '20260102_000004', points(1, 3, 1.0))
    run = read_run(tmp_path)
    assert run.scalars['loss'] == [(1, 1.0), (2, 1.0), (3, 1.0)]
    assert 'accuracy/top1' not in run.scalars


def test_a_resumed_run_that_makes_up_for_a_validation(tmp_path):
    """It was killed in one, or after it: the curves stay, the point is one."""
    made_up = {'accuracy/top1': 7.0, 'step': 1}
    make_start(tmp_path, '20260102_000001', points(1, 13, 0.5))
    make_start(tmp_path, '20260102_000002', [made_up, *points(11, 20, 0.25)])
    scalars = read_run(tmp_path).scalars
    assert [i for i, _ in scalars['loss']] == list(range(1, 21))
    assert scalars['accuracy/top1'] == [(5, 5), (10, 7), (15, 15), (20, 20)]
    make_start(tmp_path, '20260102_000003', [made_up])
    scalars = read_run(tmp_path).scalars
    assert len(scalars['loss']) == 20
    assert scalars['accuracy/top1'][-1] == (20, 7)


def test_damaged_files(tmp_path):
    start = make_start(tmp_path, '20260102_030405', points(1, 2, 0.5))
    scalars = start / 'vis_data' / 'scalars.json'
    with scalars.open('ab') as file:
        file.write(b'\xff\x00 no text\n[1, 2]\n"text"\n\n')
        file.write(b'{"loss": NaN, "iter": 3}\n{"loss": "x", "iter": 4}\n')
        file.write(b'{"loss": 0.125, "iter": 5, "step": 5}\n{"loss": 0.1')
    (start / 'run.json').write_text('{"command": ')
    (tmp_path / 'test_results.json').write_text('[]')
    (tmp_path / 'last_checkpoint').write_text('/gone/epoch_3.pth')
    run = read_run(tmp_path)
    assert run.scalars['loss'] == [(1, 0.5), (2, 0.5), (5, 0.125)]
    assert run.record == {}
    assert run.tests == {}
    assert run.checkpoint is None
    assert read_json(tmp_path) == {}


def test_which_checkpoint(tmp_path):
    """The tested one, the best, the last, the task file; never by its path."""
    make_start(tmp_path, '20260102_030405', points(1, 2, 0.5))
    (tmp_path / 'task.safetensors').write_bytes(b'')
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/epoch_3.pth\n')
    assert read_run(tmp_path).checkpoint.name == 'task.safetensors'
    (tmp_path / 'epoch_3.pth').write_bytes(b'')
    assert read_run(tmp_path).checkpoint.name == 'epoch_3.pth'
    for epoch in (10, 2):  # in a copy, 2 may be the later file
        (tmp_path / f'best_a_epoch_{epoch}.pth').write_bytes(b'')
    assert read_run(tmp_path).checkpoint.name == 'best_a_epoch_10.pth'
    results = dict(checkpoint='/elsewhere/epoch_3.pth')
    (tmp_path / 'test_results.json').write_text(json.dumps(results))
    assert read_run(tmp_path).checkpoint == tmp_path / 'epoch_3.pth'


def test_no_run(tmp_path):
    with pytest.raises(FileNotFoundError, match='no folder at .*gone'):
        read_run(tmp_path / 'gone')
    with pytest.raises(FileNotFoundError, match='no run in .*vis_data'):
        read_run(tmp_path)
