"""Some classes of a data set."""

from mmengine.logging import MMLogger
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS

from ..nn import is_whole
from .draws import build_source
from .hash_order import hash_rank


@DATASETS.register_module()
def NWay(  # noqa: N802 (a registry name)
    dataset: dict, ways: int, seed: int = 0
) -> BaseDataset:
    """Build a data set of some of the classes of another one.

    Classes are ranked by the sha256 of seed and name; the first ones are
    taken and numbered again, in the order that they had. So the same seed
    gives the same classes on every machine, and fewer ways are a part of
    more ways. Their names are logged.

    All data loaders of a run need the same ``ways`` and ``seed``, and the head
    ``num_classes=ways``. With :func:`KShot` around or inside, it is the n-way
    k-shot task of few-shot learning.

    The result is a data set of the host's own class.

    Args:
        dataset: Config of the data set, one label an image.
        ways: Number of classes, at least 2.
        seed: Another seed draws other classes.

    Raises:
        TypeError: If the data set is a wrapper of others.
        ValueError: If ``ways`` is not a whole number from 2 to the number of
            classes, ``seed`` is none, or the data set does not name its
            classes, or has no image of those that are drawn.
    """
    whole = build_source(dataset, 'NWay')
    size = len(whole)  # reads the list
    names = whole.metainfo.get('classes')
    if not names:
        raise ValueError(
            f'{type(whole).__name__} does not name its classes, which NWay '
            'draws from; give it metainfo=dict(classes=[...]).'
        )
    if not is_whole(ways) or not 2 <= ways <= len(names):
        raise ValueError(
            f'ways={ways!r} must be a whole number from 2 to {len(names)}, '
            'the number of classes.'
        )
    if not is_whole(seed):
        raise ValueError(f'seed={seed!r} must be a whole number.')
    # Labels, not names: two classes may have the same.
    ranked = sorted(
        range(len(names)),
        key=lambda label: (hash_rank(str(names[label]), seed), label),
    )
    labels = sorted(ranked[:ways])
    chosen = tuple(names[label] for label in labels)
    infos = [
        dict(info, gt_label=labels.index(info['gt_label']))
        for info in map(whole.get_data_info, range(size))
        if info.get('gt_label') in labels
    ]
    if not infos:
        raise ValueError(
            f'{type(whole).__name__} has no image of {_listed(chosen)} in '
            f'{size}; NWay needs one label an image.'
        )
    MMLogger.get_current_instance().info(
        f'{ways}-way: {len(infos)} of {size} images, seed {seed}, classes '
        f'{_listed(chosen)}'
    )
    for info in infos:
        del info['sample_idx']  # counted again
    whole.data_list = infos
    if whole.serialize_data:
        whole.data_bytes, whole.data_address = whole._serialize_data()
    whole._metainfo.update(classes=chosen, drawn_from=tuple(names))
    return whole


def _listed(names: tuple) -> str:
    return ', '.join(map(str, names))
