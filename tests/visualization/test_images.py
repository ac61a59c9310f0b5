"""Images come from data sets and files, prepared as the test images."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from vptm_mm.visualization.images import (
    ImageFiles,
    batches,
    open_split,
    sample_images,
    to_pixels,
)

from ..conftest import ROOT
from ..made_tasks import make_classifier, make_config

DIGITS = ROOT / 'configs' / 'vptm_beitv2-tiny_digits.py'


@pytest.fixture
def picture(tmp_path):
    """Red on top, blue below."""
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:8, :, 0] = pixels[8:, :, 2] = 255
    path = tmp_path / 'flag.png'
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize('to_rgb', [True, False])
def test_files_and_the_way_back_to_pixels(checkpoint, picture, to_rgb):
    config = make_config(checkpoint)
    model = make_classifier(checkpoint)
    model.data_preprocessor.to_rgb = to_rgb
    (batch,) = batches(ImageFiles([picture], config), 8)
    inputs = model.data_preprocessor(batch, False)['inputs']
    (pixels,) = to_pixels(model, inputs)
    expected = np.asarray(Image.open(picture)) / 255
    np.testing.assert_allclose(pixels, expected, atol=1e-6)


def test_missing_and_damaged_files(checkpoint, picture, tmp_path):
    config = make_config(checkpoint)
    with pytest.raises(FileNotFoundError, match=f'No such .*{tmp_path}'):
        ImageFiles([picture, tmp_path / 'gone.png'], config)
    damaged = tmp_path / 'damaged.png'
    damaged.write_bytes(picture.read_bytes()[:40])
    with pytest.raises(ValueError, match='damaged.png: '):
        ImageFiles([damaged], config)
    thin = tmp_path / 'thin.png'
    Image.new('RGB', (1600, 10)).save(thin)
    with pytest.raises(ValueError, match='thin.png: .* is too thin'):
        ImageFiles([thin], config)
    config.pop('test_dataloader')
    with pytest.raises(ValueError, match='no test_dataloader.dataset.pipel'):
        ImageFiles([picture], config)


def test_every_split_has_the_pipeline_of_the_test_images():
    config = Config.fromfile(DIGITS)
    opened = {
        split: open_split(config, split) for split in ('train', 'val', 'test')
    }
    sizes = {split: len(dataset) for split, dataset in opened.items()}
    assert sizes == dict(train=1077, val=360, test=360)
    # RandomResizedCrop, which training uses, would not repeat itself.
    train = opened['train']
    assert torch.equal(train[0]['inputs'], train[0]['inputs'])
    pipeline = config.train_dataloader.dataset.pipeline
    assert pipeline[0].type == 'RandomResizedCrop'


def test_wrappers_are_looked_into():
    config = Config.fromfile(DIGITS)
    inner = config.train_dataloader.dataset
    config.train_dataloader.dataset = dict(
        type='TrainValSplit', part='val', dataset=inner
    )
    part = open_split(config, 'train')
    assert len(part) == 109
    assert torch.equal(part[0]['inputs'], part[0]['inputs'])
    both = [config.test_dataloader.dataset, config.val_dataloader.dataset]
    config.test_dataloader.dataset = dict(type='ConcatDataset', datasets=both)
    assert len(open_split(config, 'test')) == 720


def test_wrong_splits():
    config = Config.fromfile(DIGITS)
    config.val_dataloader = None
    with pytest.raises(ValueError, match='the config has no val_dataloader'):
        open_split(config, 'val')


def test_samples():
    whole = list(range(10))
    chosen = sample_images(whole, 4).indices
    assert chosen == sorted(set(chosen)) == sample_images(whole, 4).indices
    assert len(chosen) == 4
    assert chosen != sample_images(whole, 4, seed=1).indices
    for count in (None, 99):
        assert sample_images(whole, count).indices == whole
