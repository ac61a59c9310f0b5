"""The pre-training configs for folders take two steps on a made folder."""

import json
import math
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmpretrain.registry import MODELS
from PIL import Image

from vptm_mm.engine.launch import LOADERS, build_runner
from vptm_mm.nn import trainable_parameters
from vptm_mm.weights import load_file

from ..conftest import ROOT

CONFIGS = ROOT / 'configs'
PRETRAIN = CONFIGS / 'pretrain'
TOKENS = 32


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two classes of ten images; what takes most of a start is left out."""
    rng = np.random.default_rng(0)
    for number in range(20):
        path = tmp_path / 'images' / str(number % 2) / f'{number}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (40, 36, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    for name in ('IMAGE_FOLDER', 'TRAIN_FOLDER', 'TEST_FOLDER'):
        monkeypatch.setenv(name, str(tmp_path / 'images'))
    monkeypatch.setattr('mmengine.dataset.base_dataset.gc', Mock())
    return tmp_path


class KeepStart(Hook):
    """Keeps what training begins with."""

    def before_train(self, runner):
        self.parameters = {
            key: parameter.clone()
            for key, parameter in trainable_parameters(runner.model).items()
        }


def two_steps(name, folder):
    """Train on batches of two; all of the model but its tokens is kept."""
    cfg = Config.fromfile(PRETRAIN / f'{name}.py')
    cfg.launcher = 'none'
    cfg.work_dir = cfg.experiment_name = str(folder / 'run')
    cfg.model.head.num_embed = TOKENS
    cfg.model.target_generator.num_visual_tokens = TOKENS
    loader = cfg.train_dataloader
    loader.update(
        batch_size=2,
        num_workers=0,
        persistent_workers=False,
        num_batch_per_epoch=2,
    )
    for part in ('masked_tokens', 'visual_tokens'):
        cfg.default_hooks.report[part].num_workers = 0
    cfg.train_cfg.max_epochs = 1
    # A gigabyte of the base model and its optimizer.
    cfg.default_hooks.checkpoint.interval = -1
    runner = build_runner(cfg, LOADERS)
    start = KeepStart()
    runner.register_hook(start)
    runner.train()
    assert runner.iter == 2
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert all(math.isfinite(loss) for loss in losses)
    for key, parameter in trainable_parameters(runner.model).items():
        assert not torch.equal(parameter, start.parameters[key]), key
    return runner


def test_a_model_of_224_px(folder):
    name = 'beitv2-small_folder'
    runner = two_steps(name, folder)
    (image, _), _ = runner.train_dataloader.dataset[0].values()
    assert image.shape == (3, 224, 224)
    exported = folder / 'run' / f'{name}.pth'
    # One image is held out, 78 of its 196 patches are masked.
    accuracy = folder / 'run' / 'masked_token_accuracy.json'
    assert json.loads(accuracy.read_text())['masked_patches'] == 78
    tokens = json.loads((folder / 'run' / 'visual_tokens.json').read_text())
    assert (tokens['images'], tokens['patches']) == (1, 196)
    assert (tokens['training_images'], tokens['training_patches']) == (4, 784)
    assert tokens['training_used'] > 0
    state = load_file(exported)['state_dict']
    weight = runner.model.backbone.layers[11].attn.qkv.weight
    assert torch.equal(state['backbone.layers.11.attn.qkv.weight'], weight)
    cfg = Config.fromfile(CONFIGS / 'vptm_beitv2-small_folder.py')
    backbone = cfg.model.backbone
    backbone.init_cfg.checkpoint = str(exported)
    read = MODELS.build(backbone).encoder.layers[11].attn.qkv.weight
    assert torch.equal(read, weight)
    assert cfg.model.head.in_channels == len(weight) // 3


def test_a_labelled_folder(folder):
    two_steps('beitv2-tiny_labelled-folder', folder)
    reports = {
        name: json.loads((folder / 'run' / f'{name}.json').read_text())
        for name in ('masked_token_accuracy', 'visual_tokens', 'linear_probe')
    }
    masked = reports['masked_token_accuracy']['masked_patches']
    assert masked == 2 * 6  # one of ten images of each class
    assert -1 <= reports['visual_tokens']['ami'] <= 1
    assert set(reports['linear_probe']) == {'cls', 'patches'}
    baseline = json.loads(
        (folder / 'run' / 'linear_probe_baseline.json').read_text()
    )
    assert baseline.pop('weights').startswith('vptm_mm://')
    assert baseline.keys() == reports['linear_probe'].keys()


def test_test_images_are_left_to_the_tasks(folder):
    """Both configs cut the folder alike, so no test image is seen before."""
    ours = Config.fromfile(PRETRAIN / 'beitv2-tiny_labelled-folder.py')
    task = Config.fromfile(CONFIGS / 'vptm_beitv2-tiny_folder.py')
    report = ours.default_hooks.report
    loaders = [
        ours.train_dataloader,
        report.masked_tokens,
        report.visual_tokens,
        *report.linear_probes.linear_probe.values(),
    ]
    read = [dict(loader.dataset) for loader in loaders]
    left = dict(task.test_dataloader.dataset)
    splits = [dataset.pop('split') for dataset in (*read, left)]
    assert splits == ['train', 'val', 'val', 'train', 'val', 'test']
    for dataset in (*read, left):
        del dataset['pipeline']
    assert all(dataset == left for dataset in read)


def test_fewer_images_than_a_batch(folder):
    cfg = Config.fromfile(PRETRAIN / 'beitv2-tiny_folder.py')
    cfg.launcher = 'none'
    cfg.work_dir = cfg.experiment_name = str(folder / 'run')
    runner = build_runner(cfg, LOADERS)
    message = (
        r'19 training images are too few for a batch of 256 in each process '
        r'\(world_size=1\), and drop_last=True .*train_dataloader.batch_size'
    )
    with pytest.raises(ValueError, match=message):
        runner.train()


def test_images_that_only_hooks_read(folder, monkeypatch):
    """A folder that is missing ends the run before it begins."""
    monkeypatch.setenv('TEST_FOLDER', str(folder / 'gone'))
    stepped = Mock()
    monkeypatch.setattr('mmpretrain.models.BEiT.train_step', stepped)
    with pytest.raises(FileNotFoundError, match='gone'):
        two_steps('beitv2-tiny_cifar10', folder)
    stepped.assert_not_called()
