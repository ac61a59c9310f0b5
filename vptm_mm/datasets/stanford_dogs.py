"""Stanford Dogs, in its official folder format."""

from os import path as osp
from typing import Any

import numpy as np
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS

from .class_names import set_classes
from .index_files import refuse_repeats, require_images

SPLITS = ('train', 'test')


@DATASETS.register_module()
class StanfordDogs(BaseDataset):
    """`Stanford Dogs <http://vision.stanford.edu/aditya86/ImageNetDogs/>`_.

    20,580 images of 120 breeds: 12,000 train, 8,580 test. They are a part of
    ImageNet.

    The folder holds ``Images/`` with a folder for each breed, such as
    ``n02085620-Chihuahua``, and ``lists/`` with ``train_list.mat`` and
    ``test_list.mat``.

    Args:
        data_root: The folder.
        split: ``'train'`` or ``'test'``.
        **kwargs: As in MMPretrain's ``BaseDataset``.

    Raises:
        ValueError: If ``split`` is neither, a list is broken, or ``classes``
            are others than those of the list.
        FileNotFoundError: If a list or an image is missing.
    """

    NUM_CLASSES = 120

    def __init__(
        self, data_root: str, split: str = 'train', **kwargs: Any
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f'split={split!r} must be one of {SPLITS}.')
        self.split = split
        super().__init__(
            ann_file=osp.join('lists', f'{split}_list.mat'),
            data_root=osp.expanduser(data_root),
            data_prefix='Images',
            test_mode=split == 'test',
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Return one dict an image: ``img_path`` and ``gt_label``."""
        images = _read_list(self.ann_file)
        pairs = sorted({(label, osp.dirname(path)) for path, label in images})
        labels = [label for label, _ in pairs]
        folders = {folder for _, folder in pairs}
        # One pair for each label, one for each folder, and none missing.
        if (
            labels != list(range(1, self.NUM_CLASSES + 1))
            or len(folders) != self.NUM_CLASSES
        ):
            raise ValueError(
                f'{self.ann_file} pairs {len(set(labels))} labels with '
                f'{len(folders)} folders; Stanford Dogs has labels 1 to '
                f'{self.NUM_CLASSES}, each with one folder. Download it '
                'again.'
            )
        # n02085620-Chihuahua, n02086240-Shih-Tzu
        set_classes(
            self, [folder.partition('-')[2] or folder for _, folder in pairs]
        )
        refuse_repeats([path for path, _ in images], self.ann_file)
        data_list = [
            dict(
                img_path=osp.join(self.img_prefix, path),
                gt_label=label - 1,
            )
            for path, label in images
        ]
        require_images(data_list, self.ann_file)
        return data_list

    def extra_repr(self) -> list[str]:
        """Name the split when the data set is printed."""
        return [
            f'Root of dataset: \t{self.data_root}',
            f'Split: \t{self.split}',
        ]


def _read_list(path: str) -> list[tuple[str, int]]:
    """Return paths below ``Images``, with labels that count from 1."""
    # Not at the top: it would slow every start.
    from scipy.io import loadmat

    if not osp.isfile(path):
        raise FileNotFoundError(f'no {osp.abspath(path)}')
    try:
        content = loadmat(path, squeeze_me=True)
    # What scipy raises depends on where the file is damaged.
    except Exception as error:
        raise ValueError(
            f'{path} is not a MATLAB file ({error}); download it again.'
        ) from error
    missing = [key for key in ('file_list', 'labels') if key not in content]
    if missing:
        raise ValueError(
            f'{path} has no {" and no ".join(missing)}; download it again.'
        )
    paths = np.atleast_1d(content['file_list']).tolist()
    labels = np.atleast_1d(content['labels']).tolist()
    if len(paths) != len(labels):
        raise ValueError(
            f'{path} has {len(paths)} images and {len(labels)} labels; '
            'download it again.'
        )
    if not all(isinstance(label, int) for label in labels):
        raise ValueError(f'{path}: its labels are not whole numbers.')
    return [(str(p), i) for p, i in zip(paths, labels, strict=True)]
