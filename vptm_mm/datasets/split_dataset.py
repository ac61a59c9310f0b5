"""Data sets of several splits, whose images a file of their folder lists."""

import os
from collections.abc import Sequence
from os import path as osp
from pathlib import Path
from typing import Any

from mmpretrain.datasets import BaseDataset

SHOWN = 5  # examples that the text of an error gives


class SplitDataset(BaseDataset):
    """Base class of data sets with a ``split``.

    Args:
        split: One of ``SPLITS``.
        data_root: The folder.
        **kwargs: As in MMPretrain's ``BaseDataset``.
    """

    SPLITS: tuple[str, ...] = ('train', 'test')

    def __init__(self, split: str, data_root: str = '', **kwargs: Any) -> None:
        if split not in self.SPLITS:
            raise ValueError(f'split={split!r} must be one of {self.SPLITS}.')
        self.split = split
        kwargs.setdefault('test_mode', split == 'test')
        super().__init__(data_root=osp.expanduser(data_root), **kwargs)

    def name_classes(self, names: Sequence[str]) -> None:
        """Name the classes, unless ``classes`` does.

        Args:
            names: One for each class of the data set.
        """
        given = self._metainfo.get('classes') or tuple(names)
        self._metainfo['classes'] = given
        if len(given) != len(names):
            raise ValueError(
                f'classes={given!r:.80} are {len(given)}; the data set has '
                f'{len(names)}.'
            )

    def make_list(
        self, images: list[tuple[str, int]], index: str
    ) -> list[dict]:
        """Return one dict an image: ``img_path`` and ``gt_label``.

        Args:
            images: Paths below the folder of images, and labels.
            index: The file that names them.
        """
        if not images:
            raise ValueError(
                f'{index} names no image for {self.split}; download it again.'
            )
        paths = [osp.join(self.img_prefix, path) for path, _ in images]
        require_files(paths, index)
        return [
            dict(img_path=path, gt_label=label)
            for path, (_, label) in zip(paths, images, strict=True)
        ]


def require_files(paths: list[str], index: str) -> None:
    """Look for images before a run meets the first that is missing.

    Each folder is read once, which a network drive does faster than it looks
    for each file.

    Args:
        paths: The images.
        index: The file or folder that names them.
    """
    present = {one: _files_in(one) for one in {*map(osp.dirname, paths)}}
    missing = [
        path
        for path in paths
        if osp.basename(path) not in present[osp.dirname(path)]
    ]
    if missing:
        raise FileNotFoundError(
            f'{len(missing)} of {len(paths)} images of {index} are missing; '
            'unpack them again, or mend the links. The first:'
            '\n  ' + '\n  '.join(missing[:SHOWN])
        )


def read_pairs(path: str) -> list[tuple[str, str]]:
    """Read lines of two parts; the first space separates them.

    Args:
        path: A text file; empty lines are skipped.
    """
    # Names of files may be any bytes, and hold what splitlines() splits at.
    text = Path(path).read_text('utf-8-sig', errors='surrogateescape')
    pairs = []
    for number, line in enumerate(text.split('\n'), start=1):
        first, _, rest = line.strip().partition(' ')
        if first and not rest:
            raise ValueError(
                f'{path}, line {number}: {line!r} must have two parts with a '
                'space between them; download it again.'
            )
        if first:
            pairs.append((first, rest.strip()))
    return pairs


def _files_in(folder: str) -> set[str]:
    if not osp.isdir(folder):
        return set()
    return {
        entry.name
        for entry in os.scandir(folder)
        # Of a link to itself, entry.is_file() is an error.
        if (osp.isfile(entry) if entry.is_symlink() else entry.is_file())
    }
