"""An order of images that no file system and no random generator changes."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from os import path as osp

from mmpretrain.datasets import BaseDataset

from ..nn import is_whole


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

    The name of an image is its path below the image folder, or below the
    folder that all have in common if some lie elsewhere; images without a
    path are named by their index. An image that is listed more than once has
    more than one index. Images without a label are under None.

    Args:
        dataset: A data set of MMPretrain with one label an image, or none.
        seed: Another seed gives another order.

    Raises:
        ValueError: If ``seed`` is not a whole number, or an image has several
            labels.
    """
    # 0 and 0.0 are equal and give other orders.
    if not is_whole(seed):
        raise ValueError(f'seed={seed!r} must be a whole number.')
    paths, labels = [], []
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        paths.append(info.get('img_path'))
        labels.append(info.get('gt_label'))
    names = _name_images(paths, dataset)
    by_class: dict[int | None, dict[str, list[int]]] = defaultdict(dict)
    for index, (name, label) in enumerate(zip(names, labels, strict=True)):
        if label is not None and not is_whole(label):
            raise ValueError(
                f'image {name} of {type(dataset).__name__} has the label '
                f'{label!r:.40}; what is cut by class needs one whole number '
                'an image.'
            )
        by_class[label].setdefault(name, []).append(index)
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


def _name_images(paths: list[str | None], dataset: BaseDataset) -> list[str]:
    """Name images so that neither machine nor working directory counts."""
    known = [path for path in paths if path]
    # Data sets without paths may have no such folder, as CIFAR.
    folder = dataset.img_prefix if known else ''
    below = {path: osp.relpath(path, folder) for path in known}
    if any(_is_elsewhere(*pair, folder) for pair in below.items()):
        common = osp.commonpath([osp.dirname(osp.abspath(p)) for p in known])
        below = {path: osp.relpath(path, common) for path in known}
    return [
        below[path].replace(osp.sep, '/') if path else str(index)
        for index, path in enumerate(paths)
    ]


def _is_elsewhere(path: str, name: str, folder: str) -> bool:
    """Whether a list names the whole path of an image out of the folder."""
    if not osp.isabs(path) or not folder:
        return osp.isabs(path)
    is_out = name.startswith(osp.join(osp.pardir, ''))
    return is_out and not path.startswith(folder)


def _digest(text: str) -> str:
    # Names of files may be any bytes; whatever the locale, UTF-8 is as it is.
    return hashlib.sha256(text.encode(errors='surrogateescape')).hexdigest()
