"""Finds items that are equal in one way or another."""

from collections.abc import Hashable, Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def number_equal(*keys: Sequence[Hashable | None]) -> list[int]:
    """Give items that share a key the same number.

    Items are equal if they share a key of any kind, or are both equal to a
    third one.

    Args:
        *keys: For each kind of key, that of each item; None is shared with
            nobody.

    Returns:
        A number for each item.

    Raises:
        ValueError: If there are not as many keys of each kind.
    """
    counts = {len(kind) for kind in keys}
    if len(counts) != 1:
        raise ValueError(
            f'there are {sorted(counts)} keys of a kind; give each item one '
            'of each kind, or None.'
        )
    (count,) = counts
    pairs = []
    for kind in keys:
        first: dict[Hashable, int] = {}
        pairs += [
            (first.setdefault(key, item), item)
            for item, key in enumerate(kind)
            if key is not None
        ]
    rows, columns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array(
        (np.ones(len(pairs), dtype=np.int8), (rows, columns)), (count, count)
    )
    _, numbers = connected_components(graph, directed=False)
    return numbers.tolist()
