"""Names of the classes that a data set's files say."""

from collections.abc import Sequence

from mmpretrain.datasets import BaseDataset


def set_classes(dataset: BaseDataset, found: Sequence[str]) -> None:
    """Set a data set's classes to what its files say.

    Raises:
        ValueError: If ``classes`` were given, and differ.
    """
    given = dataset._metainfo.get('classes')
    if given is not None and tuple(given) != tuple(found):
        raise ValueError(
            f'{type(dataset).__name__} has {len(found)} classes, in an order '
            f'that its files say: {", ".join(found):.80}; classes='
            f'{given!r:.80} differ. Leave classes out.'
        )
    dataset._metainfo['classes'] = tuple(found)
