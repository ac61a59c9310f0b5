"""Two views of one crop: the host's, and never empty."""

from functools import partial

import cv2
import numpy as np
import pytest
from mmpretrain.datasets.transforms import (
    RandomResizedCropAndInterpolationWithTwoPic,
)

from vptm_mm.datasets import TwoViewCrop

OPTIONS = dict(
    size=32,
    second_size=16,
    interpolation='bicubic',
    second_interpolation='bicubic',
    scale=(0.2, 1.0),
)


def views(crop, size, seed):
    width, height = size
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3))
    np.random.seed(seed)
    return crop(dict(img=pixels.astype(np.uint8)))['img']


@pytest.mark.parametrize(
    'size', [(1, 1), (3, 2), (2, 2), (1, 100), (100, 1)], ids=str
)
def test_images_of_a_few_pixels(size):
    crop = TwoViewCrop(**OPTIONS)
    for seed in range(50):
        first, second = views(crop, size, seed)
        assert first.shape == (32, 32, 3)
        assert second.shape == (16, 16, 3)


def test_the_host_fails_at_one_pixel():
    """If this fails, the class can go."""
    crop = RandomResizedCropAndInterpolationWithTwoPic(**OPTIONS)
    with pytest.raises(cv2.error, match='ssize.empty'):
        list(map(partial(views, crop, (1, 1)), range(50)))


@pytest.mark.parametrize('size', [(40, 30), (7, 5)], ids=str)
def test_other_crops_are_the_hosts(size):
    for seed in range(20):
        ours, theirs = (
            views(crop(**OPTIONS), size, seed)
            for crop in (
                TwoViewCrop,
                RandomResizedCropAndInterpolationWithTwoPic,
            )
        )
        for one, two in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, two)
