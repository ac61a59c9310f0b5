"""The padded bias against the host's own, and against a slow definition."""

import math

import pytest
import torch
from mmpretrain.models.backbones.beit import RelativePositionBias

from vptm_mm.nn import CLS, PLACED, ZERO, PaddedPositionBias, grid_places


def host_bias(grid, heads=3):
    bias = RelativePositionBias(grid, heads)
    torch.manual_seed(0)
    bias.relative_position_bias_table.data.normal_()
    return bias


def sequence(grid, added):
    """[CLS], patches, then added tokens ``(kind, place)``."""
    patches = torch.cartesian_prod(
        *(torch.arange(size, dtype=torch.float32) for size in grid)
    )
    kinds = [CLS] + [PLACED] * len(patches) + [kind for kind, _ in added]
    places = [(0.0, 0.0), *patches.tolist(), *(place for _, place in added)]
    return torch.tensor(kinds), torch.tensor(places)


def slow_bias(table, grid, kinds, places):
    """The definition, pair by pair, in double precision."""
    height, width = grid
    table = table.double()
    offsets = (2 * height - 1) * (2 * width - 1)

    def row(dy, dx):
        return table[(dy + height - 1) * (2 * width - 1) + dx + width - 1]

    size = len(kinds)
    out = torch.zeros(table.size(1), size, size, dtype=torch.float64)
    for q in range(size):
        for k in range(size):
            if ZERO in (kinds[q], kinds[k]):
                continue
            if kinds[q] == CLS and kinds[k] == CLS:
                out[:, q, k] = table[offsets + 2]
            elif kinds[q] == CLS:
                out[:, q, k] = table[offsets]
            elif kinds[k] == CLS:
                out[:, q, k] = table[offsets + 1]
            else:
                dy, dx = (places[q].double() - places[k].double()).tolist()
                y, x = math.floor(dy), math.floor(dx)
                for a in (0, 1):
                    for b in (0, 1):
                        share = (1 - abs(dy - y - a)) * (1 - abs(dx - x - b))
                        if share > 0:
                            out[:, q, k] += share * row(y + a, x + b)
    return out


@pytest.mark.parametrize('grid', [(4, 4), (3, 3), (2, 5), (1, 1)])
def test_patches_and_cls_are_bit_identical_to_the_host(grid):
    host = host_bias(grid)
    centre = tuple((size - 1) / 2 for size in grid)
    added = [(PLACED, centre), (CLS, (0, 0)), (ZERO, (0, 0))]
    bias = PaddedPositionBias(grid, *sequence(grid, added))
    ours = bias(host.relative_position_bias_table)
    known = 1 + math.prod(grid)
    assert torch.equal(ours[:, :known, :known], host())


@pytest.mark.parametrize('grid', [(4, 4), (3, 3), (2, 5)])
@pytest.mark.parametrize('side', [1, 2])
def test_added_tokens_follow_the_definition(grid, side):
    table = host_bias(grid).relative_position_bias_table
    places = grid_places(grid, (side, side)).tolist()
    added = [(PLACED, place) for place in places]
    added += [(CLS, (0, 0)), (CLS, (0, 0)), (ZERO, (0, 0))]
    kinds, places = sequence(grid, added)
    ours = PaddedPositionBias(grid, kinds, places)(table)
    expected = slow_bias(table, grid, kinds, places)
    torch.testing.assert_close(ours.double(), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ('grid', 'side', 'expected'),
    [
        ((4, 4), 1, [(1.5, 1.5)]),
        ((14, 14), 1, [(6.5, 6.5)]),
        ((4, 4), 2, [(0.5, 0.5), (0.5, 2.5), (2.5, 0.5), (2.5, 2.5)]),
    ],
)
def test_grid_places_are_the_centres_of_cells(grid, side, expected):
    places = grid_places(grid, (side, side))
    assert torch.equal(places, torch.tensor(expected))


def test_the_bias_of_a_frozen_table_is_computed_once():
    bias = PaddedPositionBias(
        (2, 2), torch.tensor([CLS, ZERO]), torch.zeros(2, 2)
    )
    table = torch.randn(12, 2)
    with torch.inference_mode():
        first = bias(table)
    assert bias(table) is first
    assert not first.is_inference()
    table += 1
    changed = bias(table)
    assert changed.equal(bias(table.clone()))
    assert not changed.equal(first)
    assert bias.double()(table) is not changed
    trained = table.clone().requires_grad_()
    assert bias(trained).requires_grad
    assert bias(trained) is not bias(trained)
