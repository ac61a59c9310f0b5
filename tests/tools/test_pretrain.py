"""``tools/pretrain.py`` as a user runs it: rounds, killed and gone on with."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

from ..conftest import ROOT
from .test_tools import run

CONFIG = ROOT / 'configs' / 'pretrain' / 'beitv2-tiny_digits.py'
# One epoch of two batches.
SMALL = (
    'train_cfg.max_epochs=1',
    'train_dataloader.dataset.indices=128',
    'train_dataloader.batch_size=64',
    'param_scheduler.0.end=1',
    'param_scheduler.1.begin=1',
    'model.head.num_embed=16',
    'model.target_generator.num_visual_tokens=16',
)


def pretrain(cwd, *options, **settings):
    return run('pretrain.py', CONFIG, *options, cwd=cwd, **settings)


def wait_until(is_so, process):
    deadline = time.monotonic() + 240
    while not is_so():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_all_kinds_of_rounds(tmp_path):
    options = ('--work-dir', 'rounds', '--cfg-options', *SMALL)
    options += ('randomness.seed=5',)
    tokens = ('--tokens', 'patches', 'features', 'vqkd')
    result = pretrain(tmp_path, *tokens, *options)
    root = tmp_path / 'rounds'
    backbones = [
        root / name / 'beitv2-tiny_digits.pth'
        for name in ('1_patches', '2_features', '3_vqkd')
    ]
    of_block = 'of BlockFeatures, block 3,'
    # VQ-KD is initialised by the seed of its run, k-means by its own.
    for name, predicts, source, seed in (
        ('1_patches', 'patches', None, 0),
        ('2_features', f'features {of_block} {backbones[0]}', backbones[0], 0),
        (
            '3_vqkd',
            f'vqkd {of_block} {backbones[1]}',
            root / '3_vqkd-tokenizer' / 'tokenizer.pth',
            5,
        ),
    ):
        card = (root / name / 'card.md').read_text()
        assert f'| predicts | {predicts} |' in card
        assert f'| seed of the tokens | {seed} |' in card
        assert ('| made from |' in card) == bool(source)
        if source:
            digest = hashlib.sha256(source.read_bytes()).hexdigest()
            assert f'| made from | {source}, sha256 {digest} |' in card
        assert re.search(r'\| sha256 \| [0-9a-f]{64} \|', card)
        assert '| images | 128 |' in card
        for report in ('masked token accuracy', 'linear probe', 'perplexity'):
            assert report in card
        assert f'{name}/beitv2-tiny_digits.pth' in result.stdout
    # A tuning run reads the result.
    run(
        'train.py',
        ROOT / 'configs' / 'vptm_beitv2-tiny_digits.py',
        '--cfg-options',
        'model.backbone.init_cfg.checkpoint='
        f'{root}/3_vqkd/beitv2-tiny_digits.pth',
        'train_cfg.max_epochs=1',
        'train_dataloader.dataset.indices=64',
        cwd=tmp_path,
    )
    # Started again, nothing is trained again.
    exported = root / '3_vqkd' / 'beitv2-tiny_digits.pth'
    before = exported.stat().st_mtime_ns
    pretrain(tmp_path, *tokens, *options)
    assert exported.stat().st_mtime_ns == before
    # Other settings are not mixed with them.
    result = pretrain(
        tmp_path, *tokens, *options, 'train_cfg.max_epochs=2', check=False
    )
    assert result.returncode
    assert '1_patches.py holds other settings than these' in result.stderr
    assert '+train_cfg = dict(max_epochs=2' in result.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_in_the_second_round_and_gone_on_with(tmp_path):
    """The result is that of rounds that were left alone."""
    kill_and_go_on(
        'features', '2_features', 'beitv2-tiny_digits.pth', tmp_path
    )


def kill_and_go_on(kind, step, export, tmp_path):
    options = ('--tokens', 'patches', kind, '--cfg-options', *SMALL)
    longer = (
        *options,
        'train_cfg.max_epochs=3',
        'default_hooks.checkpoint.interval=1',
    )
    pretrain(tmp_path, '--work-dir', 'alone', *longer)
    command = [sys.executable, str(ROOT / 'tools' / 'pretrain.py')]
    command += [str(CONFIG), '--work-dir', 'killed', *longer]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
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


@pytest.mark.slow
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


def test_the_card_of_a_labelled_folder(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(40):
        path = tmp_path / 'images' / 'ab'[number % 2] / f'{number}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (40, 36, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    run(
        'pretrain.py',
        ROOT / 'configs' / 'pretrain' / 'beitv2-tiny_labelled-folder.py',
        *('--tokens', 'patches', '--cfg-options'),
        'train_cfg.max_epochs=2',
        'train_dataloader.batch_size=14',
        'train_dataloader.num_workers=0',
        'model.head.num_embed=16',
        'model.target_generator.num_visual_tokens=16',
        cwd=tmp_path,
        IMAGE_FOLDER='images',
    )
    rounds = tmp_path / 'work_dirs' / 'beitv2-tiny_labelled-folder_rounds'
    card = (rounds / '1_patches' / 'card.md').read_text()
    # A tenth of each class is held out, a fifth left to the tasks.
    assert '| images | 28 |' in card
    assert re.search(r'\| hours of iterations \| \d+\.\d\d \|', card)
    for name, values in (
        ('masked token accuracy', 'accuracy .*chance .*masked_patches 24,'),
        ('visual tokens', '.*used .*perplexity .*ami .*training_used'),
        ('linear probe', 'cls .*patches'),
        ('linear probe baseline', 'weights vptm_mm://.*cls .*patches'),
    ):
        assert re.search(rf'\| {name} \| {values} .*\|', card), name


def test_a_missing_config(tmp_path):
    result = run('pretrain.py', 'none.py', cwd=tmp_path, check=False)
    assert result.returncode
    assert 'FileNotFoundError: no config at ' in result.stderr


@pytest.mark.slow
def test_what_asks_it_to_stop_reaches_the_training(tmp_path):
    ask_to_stop(signal.SIGINT, tmp_path)


def ask_to_stop(number, tmp_path):
    command = [sys.executable, str(ROOT / 'tools' / 'pretrain.py')]
    command += [str(CONFIG), '--work-dir', 'rounds', '--cfg-options', *SMALL]
    command += ['train_cfg.max_epochs=500']
    command += ['default_hooks.checkpoint.interval=1']
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    first = tmp_path / 'rounds' / '1_patches'
    wait_until((first / 'epoch_1.pth').exists, process)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)  # to it alone
    assert process.wait(60) == 75
    assert (first / 'interrupted.pth').exists()
    if number == signal.SIGINT:  # begun again with what its warning names
        options = (*SMALL, 'train_cfg.max_epochs=30')
        options += ('train_dataloader.batch_size=32',)
        options += ('default_hooks.checkpoint.interval=1',)
        flags = '--tokens', 'patches', '--cfg-options'
        result = pretrain(tmp_path, '--work-dir', 'rounds', *flags, *options)
        assert '1_patches goes on with other settings' in result.stderr
        assert (first / 'beitv2-tiny_digits.pth').exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_rounds_of_two_processes(tmp_path):
    """The second round does not meet the addresses of the first."""
    command = [sys.executable, '-m', 'torch.distributed.run']
    command += ['--nproc-per-node', '2', '--rdzv-backend', 'c10d']
    command += ['--rdzv-endpoint', 'localhost:0']
    command += [str(ROOT / 'tools' / 'pretrain.py'), str(CONFIG)]
    command += ['--launcher', 'pytorch', '--tokens', 'patches', 'features']
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


def test_flags_of_the_training_are_passed_on(tmp_path):
    result = pretrain(
        tmp_path, '--no-such-flag', '--cfg-options', *SMALL, check=False
    )
    assert result.returncode == 2
    assert 'unrecognized arguments: --no-such-flag' in result.stderr
