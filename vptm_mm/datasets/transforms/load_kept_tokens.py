"""Loads the visual tokens that a teacher gave an image."""

from functools import cached_property
from os import path as osp

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadKeptTokens(BaseTransform):
    """Put the kept visual tokens of an image beside it, as its second view.

    ``tools/keep_tokens.py`` writes the file. BEiT's target generator gets
    the ids as an image of one pixel a patch; ``KeptTokens`` reads them from
    it. ``data_preprocessor`` must leave them as they are:
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
        ValueError: If the file lacks an image, or the flip is none that ids
            can follow.
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
                'tools/keep_tokens.py for these images.'
            )
        views = self._tokens[self._rows[name]]  # (1 or 2, H, W)
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
    def _tokens(self) -> np.ndarray:
        return self._file['tokens']

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self._file['images'])}

    @cached_property
    def _file(self) -> dict[str, np.ndarray]:
        with np.load(self.tokens_file) as file:
            return {
                name: file[name]
                for name in ('tokens', 'images', 'image_features')
                if name in file
            }
