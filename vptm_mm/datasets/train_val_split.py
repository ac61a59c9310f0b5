"""A validation split cut from the training set."""

from mmengine.logging import MMLogger
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS

from ..nn import is_finite
from .draws import build_source
from .hash_order import list_digest, rank_classes

PARTS = ('train', 'val')


@DATASETS.register_module()
def TrainValSplit(  # noqa: N802 (a registry name)
    dataset: dict, part: str, val_fraction: float = 0.1, seed: int = 0
) -> BaseDataset:
    """Build one part of a data set, cut by class and seed.

    In each class the images are ranked by the sha256 of seed and path below
    the image folder; the first ones are for validation. So the split depends
    neither on the order of the file system nor on a random generator, and two
    groups with the same files have the same split. Its digest is logged.
    Images without labels are cut as one class.

    The result is a data set of the host's own class.

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
            is not a whole number, no class has two images, or an image has
            several labels.
    """
    if part not in PARTS:
        raise ValueError(f'part={part!r} must be one of {PARTS}.')
    if not is_finite(val_fraction) or not 0 < val_fraction < 1:
        raise ValueError(
            f'val_fraction={val_fraction!r} must be a number between 0 and 1.'
        )
    whole = build_source(dataset, 'TrainValSplit')
    val: set[str] = set()
    by_class = rank_classes(whole, seed).values()
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
        if name in val
        for index in indices
    }
    if part == 'train':
        chosen = set(range(len(whole))) - chosen
    MMLogger.get_current_instance().info(
        f'{part} split: {len(chosen)} of {len(whole)} images, seed {seed}, '
        f'sha256 of the validation list {list_digest(val)}'
    )
    whole.get_subset_(sorted(chosen))  # not get_subset: see KShot
    return whole
