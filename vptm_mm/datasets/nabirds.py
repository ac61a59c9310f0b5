"""NABirds: North American birds, in its official folder format."""

from os import path as osp
from typing import Any

from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS

from .class_names import set_classes
from .index_files import SHOWN, read_table, refuse_repeats, require_images

SPLITS = ('train', 'test')


@DATASETS.register_module()
class NABirds(BaseDataset):
    """`NABirds <https://dl.allaboutbirds.org/nabirds>`_.

    48,562 images of 555 visual categories: 23,929 train, 24,633 test. From
    `Building a Bird Recognition App and Large Scale Dataset With Citizen
    Scientists <https://openaccess.thecvf.com/content_cvpr_2015/html/Horn_Building_a_Bird_2015_CVPR_paper.html>`_.

    The folder holds ``images/``, ``images.txt`` (image id and path),
    ``image_class_labels.txt`` (image id and class id),
    ``train_test_split.txt`` (image id and 1 for train, 0 for test) and
    ``classes.txt`` (class id and name). ``classes.txt`` names a tree; only
    its leaves have images, so their ids have gaps. Labels count the ids that
    ``image_class_labels.txt`` uses, in ascending order.

    Args:
        data_root: The folder.
        split: ``'train'`` or ``'test'``.
        **kwargs: As in MMPretrain's ``BaseDataset``.

    Raises:
        ValueError: If ``split`` is neither, a file is broken, or ``classes``
            are others than those of the file.
        FileNotFoundError: If a file or an image is missing.
    """  # noqa: E501

    NUM_CLASSES = 555

    def __init__(
        self, data_root: str, split: str = 'train', **kwargs: Any
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f'split={split!r} must be one of {SPLITS}.')
        self.split = split
        super().__init__(
            ann_file='images.txt',
            data_root=osp.expanduser(data_root),
            data_prefix='images',
            test_mode=split == 'test',
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Return one dict an image: ``img_path`` and ``gt_label``."""
        paths = read_table(self.ann_file)
        classes = self._read('image_class_labels.txt', paths)
        splits = self._read('train_test_split.txt', paths)
        labels = self._read_classes(classes)
        unknown = set(splits.values()) - {'0', '1'}
        if unknown:
            raise ValueError(
                f'{self._path("train_test_split.txt")} says '
                f'{min(unknown)!r}; it must be 1 for train or 0 for test.'
            )
        wanted = '1' if self.split == 'train' else '0'
        refuse_repeats(paths.values(), self.ann_file)
        data_list = [
            dict(
                img_path=osp.join(self.img_prefix, path),
                gt_label=labels[classes[image]],
            )
            for image, path in paths.items()
            if splits[image] == wanted
        ]
        if not data_list:
            raise ValueError(
                f'{self._path("train_test_split.txt")} has no image for '
                f'{self.split} ({wanted}). Download it again.'
            )
        require_images(data_list, self.ann_file)
        return data_list

    def extra_repr(self) -> list[str]:
        """Name the split when the data set is printed."""
        return [
            f'Root of dataset: \t{self.data_root}',
            f'Split: \t{self.split}',
        ]

    def _path(self, name: str) -> str:
        return osp.join(self.data_root, name)

    def _read(self, name: str, paths: dict[str, str]) -> dict[str, str]:
        """Read a file about the same images as ``images.txt``."""
        table = read_table(self._path(name))
        differing = sorted(table.keys() ^ paths.keys())
        if differing:
            raise ValueError(
                f'{self._path(name)} and {self.ann_file} must name the same '
                f'images; {len(differing)} are in one only, such as '
                f'{", ".join(differing[:SHOWN])}.'
            )
        return table

    def _read_classes(self, classes: dict[str, str]) -> dict[str, int]:
        """Set the class names; return the labels by class id."""
        index = self._path('image_class_labels.txt')
        used = set(classes.values())
        # Python refuses to read numbers of very many digits.
        strange = sorted(
            entry for entry in used if not entry.isdecimal() or len(entry) > 9
        )
        if strange:
            raise ValueError(
                f'{index}: class id {strange[0]!r:.40} must be a whole number.'
            )
        # A class that is missing would move the labels of those after it.
        if len(used) != self.NUM_CLASSES:
            raise ValueError(
                f'{index} names {len(used)} classes; NABirds has '
                f'{self.NUM_CLASSES}. Download it again.'
            )
        names = read_table(self._path('classes.txt'))
        ids = sorted(used, key=int)
        nameless = [entry for entry in ids if entry not in names]
        if nameless:
            raise ValueError(
                f'{self._path("classes.txt")} has no name for '
                f'{len(nameless)} classes, such as '
                f'{", ".join(nameless[:SHOWN])}.'
            )
        set_classes(self, [names[entry] for entry in ids])
        return {entry: label for label, entry in enumerate(ids)}
