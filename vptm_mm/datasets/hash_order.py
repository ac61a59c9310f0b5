"""An order of images that no file system and no random generator changes."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from os import path as osp

from mmpretrain.datasets import BaseDataset


def hash_rank(name: str, seed: int) -> tuple[str, str]:
    """Return the key that images are sorted by: sha256 of seed and name.

    Args:
        name: Path below the image folder, with ``/`` on every system.
        seed: Another seed gives another order.
    """
    return _digest(f'{seed}:{name}'), name


def rank_classes(
    dataset: BaseDataset, seed: int
) -> dict[int | None, dict[str, list[int]]]:
    """Return a data set's images by label, in hash order.

    The name of an image is its path below the image folder; images without a
    path are named by their index. An image that is listed more than once has
    more than one index. Images without a label are under None.

    Args:
        dataset: A data set of MMPretrain with one label an image, or none.
        seed: Another seed gives another order.
    """
    by_class: dict[int | None, dict[str, list[int]]] = defaultdict(dict)
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        path = info.get('img_path')
        name = (
            osp.relpath(path, dataset.img_prefix).replace(osp.sep, '/')
            if path
            else str(index)
        )
        by_class[info.get('gt_label')].setdefault(name, []).append(index)
    return {
        label: {
            name: images[name]
            for name in sorted(images, key=lambda n: hash_rank(n, seed))
        }
        for label, images in by_class.items()
    }


def list_digest(names: Iterable[str]) -> str:
    """Return the sha256 of a list of images, whatever its order."""
    return _digest('\n'.join(sorted(names)))


def _digest(text: str) -> str:
    # Names of files may be any bytes; whatever the locale, UTF-8 is as it is.
    return hashlib.sha256(text.encode(errors='surrogateescape')).hexdigest()
