"""What changes the name of a file of states, and what does not."""

import numpy as np
import pytest
from mmengine.config import Config

from vptm_mm.engine.prefix_key import cache_key

from ..conftest import ROOT


class Backbone:
    frozen_sha256 = 'ab' * 32
    prefix_depth = 4


class OtherWeights(Backbone):
    frozen_sha256 = 'cd' * 32


class OtherBlock(Backbone):
    prefix_depth = 3


class Images:
    """Some images in memory, some in files."""

    def __init__(self, infos):
        self.infos = infos

    def __len__(self):
        return len(self.infos)

    def get_data_info(self, index):
        return self.infos[index]


@pytest.fixture
def key(tmp_path):
    path = tmp_path / 'image.png'
    path.write_bytes(b'an image')
    infos = [dict(img=np.zeros((2, 2, 3), np.uint8)), dict(img_path=str(path))]

    def _key(options=None, backbone=Backbone, part='train', more=(), **how):
        cfg = Config.fromfile(ROOT / 'configs' / 'vptm_beitv2-tiny_digits.py')
        cfg.merge_from_dict(options or {})
        return cache_key(cfg, part, backbone, Images([*infos, *more]), **how)

    _key.path = path
    _key.infos = infos
    return _key


@pytest.mark.parametrize(
    'options',
    [
        {'model.backbone.prompt_length': 3},
        {'optim_wrapper.optimizer.lr': 1.0},
        {'train_dataloader.batch_size': 3},
        {'model.head.temperature': 0.2},
    ],
)
def test_what_is_tuned_does_not_matter(key, options):
    assert key(options) == key()


@pytest.mark.parametrize(
    'options',
    [
        {'train_dataloader.dataset.pipeline.0.crop_ratio_range': (0.5, 1.0)},
        {'train_dataloader.dataset.indices': 63},
        {'data_preprocessor.mean': [0.0, 0.0, 0.0]},
        {'model.data_preprocessor': dict(to_rgb=True)},
        {'model.backbone.mask_grid': 2},
        {'model.backbone.speedups': ()},
    ],
)
def test_pipeline_preprocessor_and_masks_matter(key, options):
    assert key(options) != key()


def test_weights_blocks_parts_and_views_matter(key):
    keys = [
        key(),
        key(backbone=OtherWeights),
        key(backbone=OtherBlock),
        key(part='val'),
        key(views=2),
        key(views=3),
        key(seed=2),
    ]
    assert len(set(keys)) == len(keys)


def test_images_matter(key):
    keys = [key(), key(more=[dict(img_path='elsewhere.png')])]
    key.path.write_bytes(b'another image')
    keys.append(key())
    key.infos[0]['img'][0, 0, 0] = 1
    keys.append(key())
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize('what', ['lmdb_key', 'bbox'])
def test_what_else_names_an_image_matters(key, what):
    path = str(key.path)
    one, other = (dict(img_path=path, **{what: [n, 2]}) for n in (1, 3))
    assert key(more=[one]) != key(more=[other])
    assert key(more=[dict(one, gt_label=1)]) == key(more=[dict(one)])


def test_large_arrays_are_read_whole(key):
    one, other = np.zeros(5000), np.zeros(5000)
    other[2500] = 1
    assert str(one) == str(other)
    assert key(more=[dict(box=one)]) != key(more=[dict(box=other)])
