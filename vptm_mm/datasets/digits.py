"""Scikit-learn's handwritten digits: real images that need no download."""

from typing import Any

import numpy as np
from mmengine.logging import MMLogger
from mmpretrain.registry import DATASETS

from .split_dataset import SplitDataset
from .subsets import list_digest


@DATASETS.register_module()
class SklearnDigits(SplitDataset):
    """The 1,797 handwritten digits that come with scikit-learn.

    8x8 px grey images of ten classes, from the UCI set Optical Recognition
    of Handwritten Digits <https://doi.org/10.24432/C50P49>. The split is
    stratified and fixed: 1,077 train, 360 val, 360 test. Its digest is
    logged.

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
        # Not at the top: it would take a third of the time of a start.
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        digits = load_digits()
        rest, test = train_test_split(
            np.arange(len(digits.target)),
            test_size=0.2,
            random_state=0,
            stratify=digits.target,
        )
        train, val = train_test_split(
            rest,
            test_size=0.25,
            random_state=0,
            stratify=digits.target[rest],
        )
        chosen = {'train': train, 'val': val, 'test': test}[self.split]
        MMLogger.get_current_instance().info(
            f'{self.split} split: {len(chosen)} of {len(digits.target)} '
            'images, seed 0, sha256 of the list '
            f'{list_digest(map(str, chosen))}'
        )
        # Pixels are 0..16 in the source.
        pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
        images = np.repeat(pixels[..., None], 3, axis=-1)
        return [
            dict(img=images[i], gt_label=int(digits.target[i]))
            for i in sorted(chosen)
        ]
