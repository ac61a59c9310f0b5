"""The tools as a user runs them: a subprocess, from a foreign folder."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from vptm_mm.datasets import SklearnDigits
from vptm_mm.weights import load_file

from .. import launched
from ..conftest import (
    ENCODER,
    NUM_VISUAL_TOKENS,
    ROOT,
    make_pretraining_model,
    to_microsoft,
)
from ..made_cub import make_cub
from ..made_images import KINDS
from .vptm import vptm

DIGITS = ROOT / 'configs' / 'vptm_beitv2-tiny_digits.py'
TASK = ROOT / 'vptm_mm' / 'checkpoints' / 'vptm_beitv2-tiny_digits.safetensors'
CUB = ROOT / 'configs' / 'vptm_beitv2_cub.py'
SMALL = (
    'train_dataloader.dataset.indices=64',
    'train_dataloader.batch_size=32',
    'val_dataloader.dataset.indices=32',
    'test_dataloader.dataset.indices=64',
    'model.backbone.prompt_length=2',
    'default_hooks.class_means.least_views=1',
)


def run(tool, *args, cwd, check=True, **environment):
    """Run a tool in a process that need not import the package."""
    if any(name.startswith('PYTHON') for name in environment):
        return run_by_python(tool, *args, cwd=cwd, check=check, **environment)
    script = ROOT / 'tools' / tool
    return launched.run(script, *args, cwd=cwd, check=check, **environment)


def run_by_python(tool, *args, cwd, check=True, **environment):
    """Run a tool as a user does, by ``python``."""
    command = [sys.executable, str(ROOT / 'tools' / tool)]
    result = subprocess.run(
        [*command, *map(str, args)],
        cwd=cwd,
        env={**os.environ, 'OMP_NUM_THREADS': '1', **environment},
        capture_output=True,
        text=True,
    )
    if check:
        assert result.returncode == 0, result.stderr[-3000:]
    return result


def fails(tool, *args, cwd, **environment) -> str:
    """The last line of what a failing call prints, and the lines before."""
    result = run(tool, *args, cwd=cwd, check=False, **environment)
    assert result.returncode != 0
    return result.stderr


def metrics(path) -> dict:
    return json.loads(path.read_text())


def plain_config(folder):
    """Digits without augmentation: images are the same whoever reads them."""
    path = folder / 'plain.py'
    path.write_text(
        f"""
_base_ = {str(DIGITS)!r}
pipeline = [dict(type='Resize', scale=(32, 32)), dict(type='PackInputs')]
train_dataloader = dict(
    batch_size=32, dataset=dict(indices=64, pipeline=pipeline)
)
val_dataloader = dict(dataset=dict(indices=32))
test_dataloader = dict(dataset=dict(indices=32))
optim_wrapper = dict(optimizer=dict(_delete_=True, type='SGD', lr=1.0))
param_scheduler = []
train_cfg = dict(max_epochs=1)
"""
    )
    return path


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A two-epoch run that the tests below share."""
    cwd = tmp_path_factory.mktemp('elsewhere')
    options = ('--cfg-options', *SMALL, 'train_cfg.max_epochs=2')
    result = run_by_python('train.py', DIGITS, *options, cwd=cwd)
    return cwd, result.stdout + result.stderr


def test_train_leaves_what_it_promises(trained):
    cwd, output = trained
    work_dir = cwd / 'work_dirs' / 'vptm_beitv2-tiny_digits'
    for name in (
        'epoch_2.pth',
        'test_results.json',
        'vptm_beitv2-tiny_digits.task.safetensors',
        'vptm_beitv2-tiny_digits.py',
    ):
        assert (work_dir / name).is_file(), name
    assert output.count('Trainable parameters:') == 1
    assert 'Pre-trained weights:' in output
    assert re.search(r'seed: 0\b', output)
    assert 'Traceback' not in output
    # Nothing of what the host and torch warn of in each run.
    assert 'Warning' not in output


def test_test_gives_the_accuracy_of_the_end_of_training(trained):
    cwd, _ = trained
    work_dir = cwd / 'work_dirs' / 'vptm_beitv2-tiny_digits'
    end = metrics(work_dir / 'test_results.json')
    run(
        'test.py',
        DIGITS,
        work_dir / end['checkpoint'],
        *('--work-dir', 'tested', '--out', 'out.json'),
        *('--out-item', 'metrics', '--cfg-options', *SMALL),
        cwd=cwd,
    )
    assert metrics(cwd / 'out.json') == end['metrics']


def test_tta_and_predictions(trained):
    cwd, _ = trained
    work_dir = cwd / 'work_dirs' / 'vptm_beitv2-tiny_digits'
    run(
        'test.py',
        DIGITS,
        work_dir / 'epoch_2.pth',
        *('--tta', '--work-dir', 'tta', '--out', 'out.pkl'),
        *('--cfg-options', *SMALL),
        cwd=cwd,
    )
    assert (cwd / 'out.pkl').stat().st_size > 0


def test_all_images_of_a_folder(tmp_path, monkeypatch):
    """Of some of a task's classes; no other folder is looked for."""
    digits = SklearnDigits(split='test')
    for i in range(60):
        info = digits.get_data_info(i)
        path = tmp_path / 'mine' / str(info['gt_label']) / f'{i}.png'
        if info['gt_label'] in (3, 8):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(info['img']).save(path)
    monkeypatch.chdir(tmp_path)
    arguments = ['test', DIGITS, TASK, '--folder', 'mine', '--work-dir', 'run']
    arguments += ['--out', 'out.json']
    vptm(*arguments)
    found = metrics(tmp_path / 'out.json')
    assert found['accuracy/top1'] > 70
    shutil.copy(TASK, 'mine.safetensors')
    weights = ROOT / 'vptm_mm' / 'checkpoints' / 'beitv2-tiny_digits.pth'
    shutil.copy(weights, '.')  # beside the task
    vptm('test', 'mine.safetensors', *arguments[3:])
    assert metrics(tmp_path / 'out.json') == found
    with pytest.raises(ValueError, match='give --folder FOLDER'):
        vptm('test', 'mine.safetensors')
    shutil.move(tmp_path / 'mine', tmp_path / 'gone')
    with pytest.raises(FileNotFoundError, match='--folder: no .*mine'):
        vptm(*arguments)


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (['--out', 'x.txt'], '--out x.txt must end with .json or'),
        (['--out', 'x', '--out-item', 'metrics'], '--out x must end with .js'),
        (['--out-item', 'pred'], '--out-item needs --out'),
    ],
)
def test_a_file_for_results_of_another_format(flags, message):
    with pytest.raises(ValueError, match=message):
        vptm('test', DIGITS, TASK, *flags)


def test_a_resumed_run_ends_like_the_one_left_alone(tmp_path):
    plain = plain_config(tmp_path)
    for name, epochs, *resume in (
        ('whole', 2),
        ('halves', 1),
        ('halves', 2, '--resume'),
    ):
        result = run(
            'train.py',
            plain,
            *('--work-dir', name, *resume),
            *('--cfg-options', f'train_cfg.max_epochs={epochs}'),
            cwd=tmp_path,
        )
    assert 'resumed epoch: 1' in result.stdout + result.stderr
    whole, halves = (
        load_file(tmp_path / name / 'epoch_2.pth')
        for name in ('whole', 'halves')
    )
    assert halves['meta']['iter'] == whole['meta']['iter'] == 4
    for name, tensor in whole['state_dict'].items():
        torch.testing.assert_close(halves['state_dict'][name], tensor)
    assert metrics(tmp_path / 'halves' / 'test_results.json') == metrics(
        tmp_path / 'whole' / 'test_results.json'
    )


def test_a_config_without_our_hooks_refuses_it_too(tmp_path):
    (tmp_path / 'mine.py').write_text(
        f'_base_ = {str(DIGITS)!r}\ndefault_hooks = dict(_delete_=True)\n'
    )
    weights = ROOT / 'vptm_mm' / 'checkpoints' / 'beitv2-tiny_digits.pth'
    error = fails('test.py', 'mine.py', weights, cwd=tmp_path)
    assert 'ValueError: the checkpoint does not fit the model' in error
    assert '- backbone.encoder.cls_token' in error


def test_amp_without_a_gpu(tmp_path):
    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    options = ('--cfg-options', *SMALL)
    result = run('train.py', DIGITS, '--amp', *options, cwd=tmp_path)
    assert 'accuracy/top1' in result.stderr
    assert not result.stdout
    [config] = (tmp_path / 'work_dirs').glob('*/*.py')
    wrapper = Config.fromfile(config).optim_wrapper
    assert wrapper.type == 'BFloat16OptimWrapper'


def test_no_data_set_and_no_weights(tmp_path):
    """CUB without its data, then without its weights: nothing is read."""
    error = fails('train.py', CUB, cwd=tmp_path)
    assert f'FileNotFoundError: CUB: no {tmp_path}/data/CUB_200_2011' in error
    assert 'docs/data.md links the data set' in error
    root = make_cub(tmp_path, images_per_class=2)
    error = fails(
        'train.py',
        CUB,
        cwd=tmp_path,
        CUB_ROOT=str(root),
        VPTM_BEITV2_BASE=str(tmp_path / 'gone.pth'),
    )
    assert f'no pre-trained weights at {tmp_path}/gone.pth' in error
    assert 'split:' not in error


@pytest.mark.slow
def test_cub_in_its_real_format(tmp_path):
    """The CUB config on CUB's folder format; only the encoder is small."""
    root = make_cub(tmp_path, images_per_class=4)
    state = to_microsoft(make_pretraining_model().state_dict())
    torch.save(dict(model=state), tmp_path / 'beitv2.pth')
    # A config of a user's own, on top of ours.
    (tmp_path / 'mine.py').write_text(
        f"""
_base_ = {str(CUB)!r}
encoder = dict(_delete_=True, **{ENCODER!r})
model = dict(
    backbone=dict(encoder=encoder, num_visual_tokens={NUM_VISUAL_TOKENS}),
    head=dict(in_channels=16),
)
train_cfg = dict(max_epochs=1)
"""
    )
    pipeline = 'dataset.dataset.pipeline'
    result = run(
        'train.py',
        'mine.py',
        '--cfg-options',
        f'train_dataloader.{pipeline}.1.scale=18',
        f'train_dataloader.{pipeline}.2.crop_size=16',
        f'val_dataloader.{pipeline}.1.scale=18',
        f'val_dataloader.{pipeline}.2.crop_size=16',
        'test_dataloader.dataset.pipeline.1.scale=18',
        'test_dataloader.dataset.pipeline.2.crop_size=16',
        'train_dataloader.num_workers=1',
        'val_dataloader.num_workers=0',
        'test_dataloader.num_workers=0',
        cwd=tmp_path,
        CUB_ROOT=str(root),
        VPTM_BEITV2_BASE=str(tmp_path / 'beitv2.pth'),
    )
    output = result.stdout + result.stderr
    assert 'layout Microsoft' in output
    assert 'train split: 200 of 400 images' in output
    end = metrics(tmp_path / 'work_dirs' / 'mine' / 'test_results.json')
    assert 'accuracy/top5' in end['metrics']


def test_pre_training_on_any_folder(tmp_path):
    """Images of one pixel or a few are trained on like others."""
    rng = np.random.default_rng(0)
    sizes = [(1, 1), (3, 2), (2, 90), *[(36, 40)] * 37]
    for number, (width, height) in enumerate(sizes):
        folder = tmp_path / 'images' / str(number % 3)
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f'{number}.png')
    config = ROOT / 'configs' / 'pretrain' / 'beitv2-tiny_folder.py'
    error = fails('train.py', config, cwd=tmp_path, IMAGE_FOLDER='gone')
    assert f'FileNotFoundError: ImageFolder: no {tmp_path}/gone' in error
    options = (
        '--cfg-options',
        'train_cfg.max_epochs=2',
        'train_dataloader.batch_size=13',
    )
    result = run(
        'train.py',
        config,
        *options,
        'train_dataloader.num_workers=0',
        cwd=tmp_path,
        IMAGE_FOLDER='images',
    )
    lines = re.findall(r'Epoch\(train\).* eta: .* loss: ', result.stderr)
    assert len(lines) == 2
    work_dir = tmp_path / 'work_dirs' / 'beitv2-tiny_folder'
    state = load_file(work_dir / 'beitv2-tiny_folder.pth')['state_dict']
    assert state['head.cls_head.weight'].shape == (512, 128)
    assert not any(name.startswith('target_generator') for name in state)
    # One that cannot be read is not skipped; a worker names it.
    damaged = tmp_path / 'images' / '0' / '0.jpg'
    damaged.write_bytes(KINDS['JPEG cut short'][1]())
    error = fails(
        'train.py',
        config,
        *options,
        'train_dataloader.num_workers=1',
        cwd=tmp_path,
        IMAGE_FOLDER='images',
    )
    assert 'ImageFileError: images/0/0.jpg: the JPEG file of ' in error
    assert 'is cut short: its end is missing. Download it again.' in error


def test_results_on_stdout(tmp_path):
    """Nothing else is printed there."""
    found = run('check_dataset.py', DIGITS, '--out', '-', cwd=tmp_path)
    assert 'train' in str(json.loads(found.stdout))
    options = ('--cfg-options', 'test_dataloader.dataset.indices=64')
    for flags in ((), ('--out', '-')):
        found = run('test.py', DIGITS, TASK, *flags, *options, cwd=tmp_path)
        assert 0 < json.loads(found.stdout)['accuracy/top1'] <= 100
    assert 'accuracy/top1' in found.stderr
