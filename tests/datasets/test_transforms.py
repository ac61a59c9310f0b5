"""Images that are kept in memory; masks of pre-training."""

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from PIL import Image
from torch.utils.data import DataLoader

from vptm_mm.datasets import BlockMaskGenerator, LoadCheckedImage

from ..conftest import ROOT

# An image of 30 x 20 px is 1,800 bytes.
TWO_IMAGES = 0.004


@pytest.fixture
def paths(tmp_path):
    rng = np.random.default_rng(0)
    names = [str(tmp_path / f'{number}.png') for number in range(4)]
    for name in names:
        pixels = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(name)
    return names


def remove(paths):
    for path in paths:
        Path(path).unlink()


def test_a_kept_image_is_not_read_again(paths):
    load = LoadCheckedImage(cache_mb=1)
    first = [load(dict(img_path=path)) for path in paths]
    remove(paths)
    for path, expected in zip(paths, first, strict=True):
        found = load(dict(img_path=path))
        np.testing.assert_array_equal(found.pop('img'), expected.pop('img'))
        assert found == expected


@pytest.mark.parametrize('to_float32', [False, True])
def test_a_kept_image_cannot_be_changed(paths, to_float32):
    load = LoadCheckedImage(cache_mb=1, to_float32=to_float32)
    expected = LoadCheckedImage()(dict(img_path=paths[0]))['img']
    for _ in range(3):
        image = load(dict(img_path=paths[0]))['img']
        np.testing.assert_array_equal(image, expected)
        image[:] = 0


def test_a_full_cache_keeps_no_more(paths, log):
    load = LoadCheckedImage(cache_mb=TWO_IMAGES)
    for path in paths:
        load(dict(img_path=path))
    assert log == [
        'LoadCheckedImage keeps 2 images, as cache_mb=0.004 allows in a '
        'process; it decodes the others each time.'
    ]
    remove(paths)
    for path in paths[:2]:
        load(dict(img_path=path))
    for path in paths[2:]:
        with pytest.raises(FileNotFoundError, match=path):
            load(dict(img_path=path))


def test_nothing_is_kept_by_default(paths, log):
    load = LoadCheckedImage()
    load(dict(img_path=paths[0]))
    remove(paths[:1])
    with pytest.raises(FileNotFoundError, match=paths[0]):
        load(dict(img_path=paths[0]))
    assert log == []


@pytest.mark.parametrize('value', [-1, float('nan')])
def test_no_room_below_zero(value):
    with pytest.raises(ValueError, match=f'cache_mb={value} must be >= 0; 0'):
        LoadCheckedImage(cache_mb=value)


def test_a_worker_that_stays_keeps_its_images(paths):
    dataset = BaseDataset(
        lazy_init=True, pipeline=[LoadCheckedImage(cache_mb=1)]
    )
    dataset.load_data_list = lambda: [dict(img_path=path) for path in paths]
    dataset.full_init()
    loader = DataLoader(dataset, num_workers=1, persistent_workers=True)
    first = [batch['img'].clone() for batch in loader]
    remove(paths)
    second = [batch['img'] for batch in loader]
    assert len(second) == 4
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, two)


def test_configs_that_keep_images_keep_their_workers():
    found = 0
    for path in sorted((ROOT / 'configs' / 'pretrain').glob('*.py')):
        loader = Config.fromfile(path).train_dataloader
        dataset = loader.dataset
        while 'dataset' in dataset:
            dataset = dataset.dataset
        if dataset.pipeline[0].get('cache_mb'):
            found += 1
            assert loader.persistent_workers, path
    assert found == 4


@pytest.mark.parametrize(('side', 'count'), [(4, 6), (14, 75)])
def test_block_masks_reach_every_patch(side, count):
    np.random.seed(0)
    generator = BlockMaskGenerator(
        input_size=(side, side), num_masking_patches=count, min_num_patches=1
    )
    masks = [generator.transform({})['mask'] for _ in range(200)]
    assert all(mask.sum() == count for mask in masks)
    assert all(mask.shape == (side, side) for mask in masks)
    assert np.all(np.sum(masks, axis=0) > 0)
