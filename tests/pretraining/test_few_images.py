"""Defaults of pre-training for a small number of images."""

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

from vptm_mm.pretraining.few_images import (
    LEAST_STEPS,
    adapt_length,
    options_for,
)

from ..conftest import ROOT

CONFIGS = ROOT / 'configs' / 'pretrain'


@pytest.mark.parametrize('images', [1, 20, 300, 3000, 20_000])
def test_few_images_get_enough_steps(images):
    cfg = Config.fromfile(CONFIGS / 'beitv2-tiny_folder.py')
    cfg.merge_from_dict(options_for(cfg, images))
    batch = cfg.train_dataloader.batch_size
    epochs = cfg.train_cfg.max_epochs
    assert images // batch * epochs >= LEAST_STEPS
    assert images // batch * (epochs - 1) < LEAST_STEPS
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(2e-3 * batch / 256)
    warm_up, decay = cfg.param_scheduler
    assert warm_up.end == decay.begin == pytest.approx(epochs / 25, abs=0.5)


@pytest.mark.parametrize(
    ('name', 'images'),
    [('tiny_cifar10', 45_000), ('mini_tinyimagenet', 58_800)],
)
def test_measured_runs_are_as_they_were(name, images):
    cfg = Config.fromfile(CONFIGS / f'beitv2-{name}.py')
    assert options_for(cfg, images) == {}


def test_the_length_is_the_users_if_set(tmp_path, monkeypatch):
    init_default_scope('mmpretrain')
    for number in range(70):
        Image.new('RGB', (9, 9), (number, 0, 0)).save(
            tmp_path / f'{number}.png'
        )
    monkeypatch.setenv('IMAGE_FOLDER', str(tmp_path))
    cfg = Config.fromfile(CONFIGS / 'beitv2-tiny_folder.py')
    assert adapt_length(cfg, {'train_cfg.max_epochs': 25}) == ''
    assert cfg.train_dataloader.batch_size == 256
    # One is held out.
    assert adapt_length(cfg, {}) == (
        '69 images are few: --cfg-options train_dataloader.batch_size=32 '
        'optim_wrapper.optimizer.lr=0.00025 train_cfg.max_epochs=1000 '
        'param_scheduler.0.end=40 param_scheduler.1.begin=40'
    )
    assert cfg.train_cfg.max_epochs == 1000
