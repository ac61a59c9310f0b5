"""Loads kept tokens; crops and masks of pre-training."""

import math
from functools import cached_property
from os import path as osp

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmpretrain.datasets.transforms import (
    BEiTMaskGenerator,
    RandomResizedCropAndInterpolationWithTwoPic,
)
from mmpretrain.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadKeptTokens(BaseTransform):
    """Put the kept visual tokens of an image beside it, as its second view.

    ``vptm pretrain --keep-tokens`` writes the file. BEiT's target generator
    gets the ids as an image of one pixel a patch; ``KeptTokens`` reads them
    from it. ``data_preprocessor`` must leave them as they are:
    ``second_mean=[0, 0, 0], second_std=[1, 1, 1]``.

    Ids follow a horizontal flip, so it stands after ``RandomFlip``: those of
    the mirrored image, if the file has them, or else the mirrored ids. No
    transform that moves pixels otherwise may stand before it.

    A file with a teacher's vectors of whole images gives ``image_feature``,
    too, which ``PackInputs(algorithm_keys=['image_feature'])`` passes on to
    ``DistilledBEiT``.

    Args:
        tokens_file: Path of the file.
        data_root: Folder that the names of images in the file are below.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file lacks an image, or ids cannot follow the flip.
    """

    def __init__(self, tokens_file: str, data_root: str) -> None:
        self.tokens_file = tokens_file
        self.data_root = data_root

    def transform(self, results: dict) -> dict:
        """Make ``img`` a list of the image and its ids, ``(H, W, 3)``."""
        name = osp.relpath(results['img_path'], self.data_root)
        name = name.replace(osp.sep, '/')
        if name not in self._rows:
            raise ValueError(
                f'{self.tokens_file} has tokens of {len(self._rows)} images, '
                f'and none of {name!r}, as {results["img_path"]} is called '
                f'below data_root={self.data_root!r}. Set data_root, or run '
                'vptm pretrain --keep-tokens for these images.'
            )
        views = self._file['tokens'][self._rows[name]]  # (1 or 2, H, W)
        ids = views[0]
        if results.get('flip'):
            direction = results['flip_direction']
            if direction != 'horizontal':
                raise ValueError(
                    f'a {direction} flip moves patches that tokens do not '
                    "follow; use RandomFlip with direction='horizontal'."
                )
            ids = views[1] if len(views) == 2 else ids[:, ::-1]
        # Three channels of the same: the host's preprocessor swaps them.
        second = np.repeat(ids[..., None].astype(np.float32), 3, axis=-1)
        results = {**results, 'img': [results['img'], second]}
        if 'image_features' in self._file:
            vector = self._file['image_features'][self._rows[name]]
            results['image_feature'] = torch.from_numpy(vector).float()
        return results

    @cached_property
    def _file(self) -> dict[str, np.ndarray]:
        with np.load(self.tokens_file) as file:
            return {name: file[name] for name in file}

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self._file['images'])}


# The host's crop for pre-training, under a name that a config can say.
TRANSFORMS.register_module(
    'TwoViewCrop', module=RandomResizedCropAndInterpolationWithTwoPic
)


@TRANSFORMS.register_module()
class BlockMaskGenerator(BEiTMaskGenerator):
    """BEiT's block-wise masking, over the whole grid.

    The host's ``BEiTMaskGenerator`` samples the corner of a block from
    ``randint(0, height - h)``, whose upper end is exclusive: the last row and
    the last column of patches are never masked. On a 14x14 grid that loses
    27 of 196 patches, on a 4x4 grid 7 of 16. Here every patch can be masked,
    as in BEiT <https://arxiv.org/abs/2106.08254>, algorithm 1.

    Arguments are the host's.
    """

    def _mask(self, mask: np.ndarray, max_mask_patches: int) -> int:
        """Add one block to ``mask``; return how many patches it added."""
        for _ in range(10):
            area = np.random.uniform(self.min_num_patches, max_mask_patches)
            aspect = math.exp(np.random.uniform(*self.log_aspect_ratio))
            h = round(math.sqrt(area * aspect))
            w = round(math.sqrt(area / aspect))
            if not (0 < h <= self.height and 0 < w <= self.width):
                continue
            top = np.random.randint(0, self.height - h + 1)
            left = np.random.randint(0, self.width - w + 1)
            block = mask[top : top + h, left : left + w]
            added = block.size - int(block.sum())
            if 0 < added <= max_mask_patches:
                block[:] = 1
                return added
        return 0
