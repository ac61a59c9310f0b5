"""Equal items, compared with a search through all pairs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vptm_mm.datasets.equal_items import number_equal

ITEMS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(0, 6)),
        st.one_of(st.none(), st.binary(max_size=1)),
    ),
    max_size=12,
)


def reachable(items: list[tuple], start: int) -> set[int]:
    found, todo = {start}, [start]
    while todo:
        here = items[todo.pop()]
        for other, keys in enumerate(items):
            shares = any(
                a is not None and a == b
                for a, b in zip(here, keys, strict=True)
            )
            if shares and other not in found:
                found.add(other)
                todo.append(other)
    return found


@settings(deadline=None, derandomize=True)
@given(ITEMS)
def test_as_a_search_through_all_pairs(items):
    numbers = number_equal(*([item[k] for item in items] for k in (0, 1)))
    assert len(numbers) == len(items)
    for start, number in enumerate(numbers):
        same = {i for i, other in enumerate(numbers) if other == number}
        assert same == reachable(items, start)


def test_as_many_keys_of_each_kind():
    with pytest.raises(ValueError, match=r'there are \[1, 2\] keys of a kind'):
        number_equal([1], [1, 2])
