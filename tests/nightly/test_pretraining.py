"""Rounds of pre-training that are killed, shared or long."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys

import pytest
import torch

from ..conftest import ROOT
from ..verbs.test_pretrain import (
    CONFIG,
    SMALL,
    ask_to_stop,
    pretrain,
    start,
    wait_until,
)
from ..verbs.test_tools import run


@pytest.mark.parametrize(
    ('kind', 'step', 'export'),
    [
        ('features', '2_features', 'beitv2-tiny_digits.pth'),
        ('vqkd', '2_vqkd-tokenizer', 'tokenizer.pth'),
    ],
)
def test_killed_in_the_second_round_and_gone_on_with(
    tmp_path, kind, step, export
):
    """The result is that of rounds that were left alone."""
    options = ('--tokens', 'patches', kind, '--cfg-options', *SMALL)
    longer = (
        *options,
        'train_cfg.max_epochs=3',
        'default_hooks.checkpoint.interval=1',
    )
    pretrain(tmp_path, '--work-dir', 'alone', *longer)
    process = start(tmp_path, '--work-dir', 'killed', *longer)
    second = tmp_path / 'killed' / step
    wait_until((second / 'epoch_1.pth').exists, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (second / export).exists()
    pretrain(tmp_path, '--work-dir', 'killed', *longer)
    exported = [
        torch.load(
            tmp_path / name / f'2_{kind}' / 'beitv2-tiny_digits.pth',
            weights_only=True,
        )['state_dict']
        for name in ('alone', 'killed')
    ]
    assert exported[0].keys() == exported[1].keys()
    for name, tensor in exported[0].items():
        assert torch.equal(tensor, exported[1][name]), name


def test_predictions_of_masked_tokens_beat_chance(tmp_path):
    run(
        'train.py',
        CONFIG,
        '--work-dir',
        'run',
        '--cfg-options',
        'train_cfg.max_epochs=8',
        'train_dataloader.batch_size=64',
        'optim_wrapper.optimizer.lr=3e-3',
        'param_scheduler.0.end=1',
        'param_scheduler.1.begin=1',
        'model.head.num_embed=16',
        'model.target_generator.num_visual_tokens=16',
        cwd=tmp_path,
    )
    report = json.loads(
        (tmp_path / 'run' / 'masked_token_accuracy.json').read_text()
    )
    assert report['accuracy'] > report['chance'] + 0.03
    scalars = next(tmp_path.glob('run/*/vis_data/scalars.json'))
    losses = [
        line['loss']
        for line in map(json.loads, scalars.read_text().splitlines())
        if 'loss' in line
    ]
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.timeout(0)
def test_rounds_of_two_processes(tmp_path):
    """Their linear probes read all images."""
    launch = [sys.executable, '-m', 'torch.distributed.run']
    launch += ['--nproc-per-node', '2', '--rdzv-backend', 'c10d']
    launch += ['--rdzv-endpoint', 'localhost:0']
    command = [sys.executable, str(ROOT / 'tools' / 'pretrain.py')]
    command += [str(CONFIG), '--launcher', 'pytorch']
    command += ['--launch', shlex.join(launch)]
    command += ['--tokens', 'patches', 'features']
    command += ['--work-dir', 'rounds', '--cfg-options', *SMALL]
    result = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        text=True,
        capture_output=True,
        timeout=800,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    for name in ('1_patches', '2_features'):
        card = (tmp_path / 'rounds' / name / 'card.md').read_text()
        assert re.search(r'\| linear probe \| cls .*patches', card)


def test_a_signal_to_the_parent_alone(tmp_path):
    ask_to_stop(signal.SIGUSR1, tmp_path)
