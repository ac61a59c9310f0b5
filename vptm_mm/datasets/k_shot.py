"""A few training images of each class."""

from mmengine.logging import MMLogger
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS

from ..nn import is_whole
from .draws import build_source
from .hash_order import list_digest, rank_classes


@DATASETS.register_module()
def KShot(  # noqa: N802 (a registry name)
    dataset: dict, shots: int, seed: int = 0
) -> BaseDataset:
    """Build a data set of the same number of images of every class.

    In each class the images are ranked by the sha256 of seed and path below
    the image folder; the first ones are taken. So the same seed gives the
    same images on every machine, and fewer shots are a part of more shots.
    The digest of the list is logged.

    The result is a data set of the host's own class.

    Args:
        dataset: Config of the data set to draw from: a training split, or
            the training part of a ``TrainValSplit``.
        shots: Images of each class; 1, 2, 4, 8 and 16 are usual.
        seed: Another seed draws other images.

    Raises:
        TypeError: If the data set is a wrapper of others.
        ValueError: If ``shots`` is not a whole number above 0, ``seed`` is
            not one, a class has fewer images, or an image has no label,
            several, or one beyond the classes.
    """
    if not is_whole(shots) or shots < 1:
        raise ValueError(f'shots={shots!r} must be a whole number above 0.')
    whole = build_source(dataset, 'KShot')
    ranked = rank_classes(whole, seed)
    if None in ranked:
        raise ValueError(
            f'{len(ranked[None])} images of {dataset.get("type")} have no '
            'label, and KShot draws by class; does it say with_label=False?'
        )
    by_class = {
        label: [(name, indices[0]) for name, indices in images.items()]
        for label, images in ranked.items()
        if label is not None
    }
    classes = whole.metainfo.get('classes')
    labels = range(len(classes)) if classes else sorted(by_class)
    counts = {label: len(by_class.get(label, ())) for label in labels}
    beyond = sorted(set(by_class) - set(labels))
    if beyond:
        raise ValueError(
            f'label {beyond[0]} is none of the {len(labels)} classes of '
            f'{dataset.get("type")}; correct the list, or the classes.'
        )
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
    chosen = [image for label in labels for image in by_class[label][:shots]]
    digest = list_digest(name for name, _ in chosen)
    MMLogger.get_current_instance().info(
        f'{shots}-shot: {len(chosen)} of {len(whole)} images, seed {seed}, '
        f'sha256 of the list {digest}'
    )
    # Not get_subset: the memory of its copying outlives the data set, and a
    # later copy of an object at the same address becomes this data set.
    whole.get_subset_(sorted(index for _, index in chosen))
    return whole
