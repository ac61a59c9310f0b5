"""Data sets that take a part of another one."""

from collections.abc import Mapping
from typing import Any

from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS

# Registry names; each has a ``dataset`` of which it takes a part, by ``seed``.
DRAWS = ('KShot', 'NWay')


def kind_of(dataset: Mapping[str, Any]) -> str:
    """Return the name of a config's ``type``, without its scope."""
    kind = dataset.get('type')
    return getattr(kind, '__name__', str(kind)).rpartition('.')[-1]


def build_source(dataset: dict, taker: str) -> BaseDataset:
    """Build the data set that another one takes a part of.

    Args:
        dataset: Its config.
        taker: Name of the other one, for the error.

    Raises:
        TypeError: If the data set is a wrapper of others.
    """
    whole = DATASETS.build(dataset)
    if not isinstance(whole, BaseDataset):
        raise TypeError(
            f'{taker} takes images of one data set, and '
            f'{type(whole).__name__} is a wrapper; put {taker} around the '
            'data sets inside of it.'
        )
    return whole
