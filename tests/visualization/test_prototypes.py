"""Clustered order is a permutation; cosines are the verbalizer's."""

import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS

from vptm_mm.visualization.prototypes import (
    compare_prototypes,
    nearest_pairs,
    plot_prototypes,
    prototypes_of,
)

from ..made_tasks import make_classifier


def model_of(checkpoint, prototypes):
    model = make_classifier(checkpoint, num_classes=len(prototypes))
    padding = (0, 8 - prototypes.size(1))
    model.head.verbalizer.prototypes.data = torch.nn.functional.pad(
        prototypes, padding
    )
    return model


def test_like_stands_by_like(checkpoint):
    # Two groups, mixed; lengths differ and must not matter.
    prototypes = torch.tensor([[1, 0], [0, 9], [5, 1.0], [0.1, 1], [3, 0]])
    cosines = compare_prototypes(model_of(checkpoint, prototypes))
    heat = plot_prototypes(cosines, 'abcde').axes[1]
    order = [label.get_text() in 'bd' for label in heat.get_yticklabels()]
    assert order in ([True] * 2 + [False] * 3, [False] * 3 + [True] * 2)
    unit = prototypes / prototypes.norm(dim=1, keepdim=True)
    np.testing.assert_allclose(cosines, unit @ unit.T, atol=1e-6)
    assert nearest_pairs(cosines, 'abcde', 1) == ['a and e: cosine 1.00']


@pytest.mark.parametrize('num_classes', [2, 200])
def test_picture(checkpoint, num_classes):
    generator = torch.Generator().manual_seed(0)
    prototypes = torch.randn(num_classes, 8, generator=generator)
    cosines = compare_prototypes(model_of(checkpoint, prototypes))
    names = [f'c{i}' for i in range(num_classes)]
    figure = plot_prototypes(cosines, names)
    tree, heat = figure.axes[:2]
    shown = [label.get_text() for label in heat.get_yticklabels()]
    assert sorted(shown) == (names if num_classes <= 60 else [])
    # The tree's leaves stand at the rows of the heat map, downwards.
    ends = [
        (x, y)
        for lines in tree.collections
        for line in lines.get_segments()
        for x, y in line[[0, -1]].tolist()
    ]
    leaves = sorted(y for x, y in ends if x == 0)
    assert leaves == [10 * i + 5 for i in range(num_classes)]
    assert tree.get_ylim() == (10 * num_classes, 0)
    assert heat.get_ylim() == (num_classes - 0.5, -0.5)
    # The diagonal is left out.
    cells = heat.images[0].get_array()
    assert np.ma.getmaskarray(np.ma.masked_invalid(cells)).sum() == num_classes


def test_no_prototypes(checkpoint):
    model = make_classifier(checkpoint)
    model.head = MODELS.build(
        dict(type='LinearClsHead', num_classes=3, in_channels=16)
    )
    assert prototypes_of(model) is None
    with pytest.raises(ValueError, match='LinearClsHead has no prototypes'):
        compare_prototypes(model)
