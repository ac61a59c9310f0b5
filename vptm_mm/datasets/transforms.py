"""Loads images and kept tokens; crops and masks of pre-training."""

import math
from functools import cached_property
from os import path as osp

import mmengine.fileio
import numpy as np
import torch
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmengine.logging import MMLogger
from mmpretrain.datasets.transforms import (
    BEiTMaskGenerator,
    RandomResizedCropAndInterpolationWithTwoPic,
)
from mmpretrain.registry import TRANSFORMS

from ..image_content import UnreadableImageError, decode


class ImageFileError(ValueError):
    """An image that a data set cannot read.

    A worker of a data loader hands over its traceback as the text; what
    follows the name of this class in it is the text of the error.

    Args:
        text: The file, what is wrong, and what to do.
    """

    def __init__(self, text: str) -> None:
        super().__init__(
            text.rpartition(f'{type(self).__name__}: ')[2].strip()
        )


@TRANSFORMS.register_module()
class LoadCheckedImage(LoadImageFromFile):
    """The host's ``LoadImageFromFile``, which names what it cannot read.

    The host's decoders fill up images that are cut short, without a word, and
    their errors do not always say which file they are about. Here each such
    file is an error with its path, and the header is asked for the size
    before anything is decoded: ``docs/data.md`` says more.

    An image that is loaded already is left as it is: the host's inferencers
    load images themselves.

    With ``cache_mb`` each process keeps what it has decoded, until the first
    image for which there is no room; from then on it keeps no more, and says
    so in the log. What is kept is never handed out, only copies of it. A
    worker of a data loader keeps it from epoch to epoch with
    ``persistent_workers=True`` only.

    Args:
        to_float32: Whether pixels are float32 instead of uint8.
        color_type: ``flag`` of ``mmcv.imfrombytes``.
        imdecode_backend: ``backend`` of ``mmcv.imfrombytes``.
        cache_mb: Decoded pixels that a process keeps at most, in units of
            1e6 bytes; 0 keeps none.
        backend_args: Where files are, as in ``mmengine.fileio``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read as a whole image, or if ``cache_mb``
            is negative.
    """

    def __init__(
        self,
        to_float32: bool = False,
        color_type: str = 'color',
        imdecode_backend: str = 'cv2',
        cache_mb: float = 0,
        *,
        backend_args: dict | None = None,
    ) -> None:
        super().__init__(
            to_float32=to_float32,
            color_type=color_type,
            imdecode_backend=imdecode_backend,
            backend_args=backend_args,
        )
        if not cache_mb >= 0:
            raise ValueError(
                f'cache_mb={cache_mb} must be >= 0; 0 keeps no images.'
            )
        self.cache_mb = cache_mb
        self._kept: dict[str, np.ndarray] = {}
        # Bytes; None when nothing more is kept.
        self._room = cache_mb * 1e6 or None

    def transform(self, results: dict) -> dict:
        """Set ``img``, ``img_shape`` and ``ori_shape``."""
        if 'img' in results:
            return results
        path = results['img_path']
        if path in self._kept:
            image = self._kept[path].copy()
        else:
            image = self._decode(path)
            self._keep(path, image)
        if self.to_float32:
            image = image.astype(np.float32)
        shape = image.shape[:2]
        return {
            **results,
            'img': image,
            'img_shape': shape,
            'ori_shape': shape,
        }

    def _decode(self, path: str) -> np.ndarray:
        content = mmengine.fileio.get(path, backend_args=self.backend_args)
        try:
            return decode(content, self.color_type, self.imdecode_backend)
        except UnreadableImageError as error:
            raise ImageFileError(f'{path}: {error}') from error

    def _keep(self, path: str, image: np.ndarray) -> None:
        if self._room is None:
            return
        if image.nbytes > self._room:
            self._room = None
            MMLogger.get_current_instance().info(
                f'LoadCheckedImage keeps {len(self._kept)} images, as '
                f'cache_mb={self.cache_mb} allows in a process; it decodes '
                'the others each time.'
            )
            return
        self._kept[path] = image.copy()
        self._room -= image.nbytes


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
