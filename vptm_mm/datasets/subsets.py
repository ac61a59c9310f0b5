"""Parts of a data set that depend on a seed and the names of images only.

Images, or classes, are ranked by the sha256 of seed and name, and the first
ones are taken: no file system, random generator or machine changes which.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from os import path as osp
from typing import Any

from mmengine.logging import MMLogger
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS

from ..host import replace_list
from ..nn import is_finite, is_int, require_int

PARTS = ('train', 'val')
# Registry names; each has a ``dataset`` of which it takes a part, by ``seed``.
SAMPLERS = ('KShot', 'NWay')


@DATASETS.register_module()
def TrainValSplit(  # noqa: N802 (a registry name)
    dataset: dict, part: str, val_fraction: float = 0.1, seed: int = 0
) -> BaseDataset:
    """Build the training or the validation part of a data set.

    Each class is cut by itself; images without labels are one class. The
    result is a data set of the host's own class. The digest of the list is
    logged.

    Args:
        dataset: Config of a data set of MMPretrain, all of it.
        part: ``'train'`` or ``'val'``.
        val_fraction: Share of each class that is for validation, 0-1; at
            least one image of a class that has two, and one remains of
            each.
        seed: Another seed gives another split.

    Raises:
        TypeError: If the data set is a wrapper of others.
        ValueError: If ``part`` or ``val_fraction`` is out of range, ``seed``
            is not an int, no class has two images, or an image has
            several labels.
    """
    if part not in PARTS:
        raise ValueError(f'part={part!r} must be one of {PARTS}.')
    if not is_finite(val_fraction) or not 0 < val_fraction < 1:
        raise ValueError(
            f'val_fraction={val_fraction!r} must be a number between 0 and 1.'
        )
    whole = _build_source(dataset, 'TrainValSplit')
    by_class = rank_classes(whole, seed).values()
    val: set[str] = set()
    for images in by_class:
        wanted = max(1, round(val_fraction * len(images)))
        val.update([*images][: min(wanted, len(images) - 1)])
    if part == 'val' and not val:
        raise ValueError(
            f'the {len(by_class)} classes of {len(whole)} images have at most '
            'one each; a class needs 2, one each for train and val.'
        )
    # All places of an image that is listed twice, under two classes perhaps.
    chosen = {
        index
        for images in by_class
        for name, indices in images.items()
        if (name in val) == (part == 'val')
        for index in indices
    }
    _log(
        f'{part} split: {len(chosen)} of {len(whole)} images, seed {seed}, '
        f'sha256 of the validation list {list_digest(val)}'
    )
    return _take(whole, chosen)


@DATASETS.register_module()
def KShot(  # noqa: N802 (a registry name)
    dataset: dict, shots: int, seed: int = 0
) -> BaseDataset:
    """Build a data set of the same number of images of every class.

    Fewer shots are a part of more shots. The result is a data set of the
    host's own class. The digest of the list is logged.

    Args:
        dataset: Config of the data set to sample from: a training split, or
            the training part of a ``TrainValSplit``.
        shots: Images of each class; 1, 2, 4, 8 and 16 are usual.
        seed: Another seed samples other images.

    Raises:
        TypeError: If the data set is a wrapper of others.
        ValueError: If ``shots`` is not an int above 0, ``seed`` is
            not one, a class has fewer images, or an image has no label,
            several, or one beyond the classes.
    """
    require_int('shots', shots, 1)
    whole = _build_source(dataset, 'KShot')
    by_class = rank_classes(whole, seed)
    classes = whole.metainfo.get('classes')
    labels = (
        [*range(len(classes))]
        if classes
        else sorted(label for label in by_class if label is not None)
    )
    strange = [label for label in by_class if label not in labels]
    if strange:
        raise ValueError(
            f'{dataset.get("type")} has images of label {strange[0]}, which '
            f'is none of its {len(labels)} classes; correct the list or the '
            'classes, and leave with_label=False out.'
        )
    counts = {label: len(by_class.get(label, ())) for label in labels}
    short = [label for label in labels if counts[label] < shots]
    if short:
        first = short[0]
        name = f' ({classes[first]})' if classes else ''
        raise ValueError(
            f'class {first}{name} has {counts[first]} images, fewer than '
            f'shots={shots}; so have {len(short)} of {len(counts)} classes. '
            f'The smallest class has {min(counts.values())}: take no more '
            'shots than that, or another data set.'
        )
    chosen = [
        (name, indices[0])
        for label in labels
        for name, indices in [*by_class[label].items()][:shots]
    ]
    digest = list_digest(name for name, _ in chosen)
    _log(
        f'{shots}-shot: {len(chosen)} of {len(whole)} images, seed {seed}, '
        f'sha256 of the list {digest}'
    )
    return _take(whole, (index for _, index in chosen))


@DATASETS.register_module()
def NWay(  # noqa: N802 (a registry name)
    dataset: dict, ways: int, seed: int = 0
) -> BaseDataset:
    """Build a data set of some of the classes of another one.

    Classes are numbered again, in the order that they had. Fewer ways are a
    part of more ways. Their names are logged.

    All data loaders of a run need the same ``ways`` and ``seed``, and the head
    ``num_classes=ways``. With :func:`KShot` around or inside, it is the n-way
    k-shot task of few-shot learning.

    The result is a data set of the host's own class.

    Args:
        dataset: Config of the data set, one label an image.
        ways: Number of classes, at least 2.
        seed: Another seed samples other classes.

    Raises:
        TypeError: If the data set is a wrapper of others.
        ValueError: If ``ways`` is not an int from 2 to the number of
            classes, ``seed`` is not an int, or the data set does not name
            its classes.
    """
    whole = _build_source(dataset, 'NWay')
    size = len(whole)  # reads the list
    names = whole.metainfo.get('classes')
    if not names:
        raise ValueError(
            f'{type(whole).__name__} does not name its classes, which NWay '
            'samples from; give it metainfo=dict(classes=[...]).'
        )
    require_int('ways', ways, 2, len(names), ', the number of classes')
    _require_seed(seed)
    # Labels, not names: two classes may have the same.
    ranked = sorted(
        range(len(names)),
        key=lambda label: (hash_rank(str(names[label]), seed), label),
    )
    labels = sorted(ranked[:ways])
    chosen = tuple(names[label] for label in labels)
    listed = ', '.join(map(str, chosen))
    infos = [
        dict(info, gt_label=labels.index(info['gt_label']))
        for info in map(whole.get_data_info, range(size))
        if info.get('gt_label') in labels
    ]
    _log(
        f'{ways}-way: {len(infos)} of {size} images, seed {seed}, classes '
        f'{listed}'
    )
    for info in infos:
        del info['sample_idx']  # counted again
    replace_list(whole, infos, classes=chosen, sampled_from=tuple(names))
    return whole


def kind_of(cfg: Mapping[str, Any]) -> str:
    """Return the name of a config's ``type``, without its scope."""
    kind = cfg.get('type')
    return getattr(kind, '__name__', str(kind)).rpartition('.')[-1]


def hash_rank(name: str, seed: int) -> tuple[str, str]:
    """Return the key that images are sorted by: sha256 of seed and name.

    Args:
        name: Path below the image folder, with ``/`` on every system.
        seed: Another seed gives another order.
    """
    return _digest(f'{seed}:{name}'), name


def list_digest(names: Iterable[str]) -> str:
    """Return the sha256 of a list of images, whatever its order."""
    return _digest('\n'.join(sorted(names)))


def rank_classes(
    dataset: BaseDataset, seed: int
) -> dict[int | None, dict[str, list[int]]]:
    """Return the indices of a data set's images, by label and ranked name.

    The name of an image is its path below the image folder, or below the
    folder that all have in common if some lie elsewhere; images without a
    path are named by their index. An image that is listed more than once has
    more than one index. Images without a label are under None.

    Args:
        dataset: A data set of MMPretrain with one label an image, or none.
        seed: Another seed gives another order.
    """
    _require_seed(seed)
    paths, labels = [], []
    for info in map(dataset.get_data_info, range(len(dataset))):
        paths.append(info.get('img_path'))
        labels.append(info.get('gt_label'))
    names = _name_images(paths, dataset)
    by_class: dict[int | None, dict[str, list[int]]] = defaultdict(dict)
    for index, (name, label) in enumerate(zip(names, labels, strict=True)):
        if label is not None and not is_int(label):
            raise ValueError(
                f'image {name} of {type(dataset).__name__} has the label '
                f'{label!r:.40}; what is cut by class needs one int '
                'an image.'
            )
        by_class[label].setdefault(name, []).append(index)
    for label, images in by_class.items():
        ranked = sorted(images, key=lambda name: hash_rank(name, seed))
        by_class[label] = {name: images[name] for name in ranked}
    return dict(by_class)


def _build_source(dataset: dict, taker: str) -> BaseDataset:
    whole = DATASETS.build(dataset)
    if not isinstance(whole, BaseDataset):
        raise TypeError(
            f'{taker} takes images of one data set, and '
            f'{type(whole).__name__} is a wrapper; put {taker} around the '
            'data sets inside of it.'
        )
    return whole


def _take(whole: BaseDataset, indices: Iterable[int]) -> BaseDataset:
    # Not get_subset: the memory of its copying outlives the data set, and a
    # later copy of an object at the same address becomes this data set.
    whole.get_subset_(sorted(indices))
    return whole


def _require_seed(seed: Any) -> None:
    # 0 and 0.0 are equal and give other orders.
    if not is_int(seed):
        raise ValueError(f'seed={seed!r} must be an int.')


def _name_images(paths: list[str | None], dataset: BaseDataset) -> list[str]:
    """Name images so that neither machine nor working directory counts."""
    known = [path for path in paths if path]
    # Data sets without paths may have no such folder, as CIFAR.
    folder = dataset.img_prefix if known else ''
    below = {path: osp.relpath(path, folder) for path in known}
    # A list may name whole paths out of the folder.
    if any(
        osp.isabs(path)
        and (
            not folder
            or (name.startswith('../') and not path.startswith(folder))
        )
        for path, name in below.items()
    ):
        common = osp.commonpath([osp.dirname(osp.abspath(p)) for p in known])
        below = {path: osp.relpath(path, common) for path in known}
    return [
        below[path].replace(osp.sep, '/') if path else str(index)
        for index, path in enumerate(paths)
    ]


def _digest(text: str) -> str:
    # Names of files may be any bytes; whatever the locale, UTF-8 is as it is.
    return hashlib.sha256(text.encode(errors='surrogateescape')).hexdigest()


def _log(text: str) -> None:
    MMLogger.get_current_instance().info(text)
