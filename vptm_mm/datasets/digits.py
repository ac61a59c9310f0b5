"""Scikit-learn's handwritten digits: real images that need no download."""

from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import MMLogger
from mmpretrain.registry import DATASETS

from .split_dataset import SplitDataset
from .subsets import list_digest

# A file of our own, as importing scikit-learn takes a second.
FILE = Path(__file__).with_name('digits.npz')


@DATASETS.register_module()
class SklearnDigits(SplitDataset):
    """The 1,797 handwritten digits that come with scikit-learn.

    8x8 px grey images of ten classes, from the UCI set Optical Recognition
    of Handwritten Digits <https://doi.org/10.24432/C50P49>. The split is
    stratified and fixed: 1,077 train, 360 val, 360 test. Its digest is
    logged. Images and split are in ``digits.npz`` (CC BY 4.0, as the set).

    Args:
        split: ``'train'``, ``'val'`` or ``'test'``.
        **kwargs: As in MMPretrain's ``BaseDataset``.
    """

    SPLITS = ('train', 'val', 'test')
    METAINFO = {'classes': tuple(str(digit) for digit in range(10))}

    def __init__(self, split: str = 'train', **kwargs: Any) -> None:
        super().__init__(split, ann_file='', **kwargs)

    def load_data_list(self) -> list[dict]:
        """Return one dict an image: ``img`` (8, 8, 3) uint8 and its label."""
        with np.load(FILE) as digits:
            pixels, labels = digits['images'], digits['labels']
            part = digits['splits'] == self.SPLITS.index(self.split)
        chosen = np.flatnonzero(part).tolist()
        MMLogger.get_current_instance().info(
            f'{self.split} split: {len(chosen)} of {len(labels)} '
            'images, seed 0, sha256 of the list '
            f'{list_digest(map(str, chosen))}'
        )
        # Pixels are 0..16 in the source.
        pixels = np.rint(pixels * (255 / 16)).astype(np.uint8)
        images = np.repeat(pixels[..., None], 3, axis=-1)
        return [dict(img=images[i], gt_label=int(labels[i])) for i in chosen]
