"""Maps of features: PCA by hand, t-SNE with a seed, classes told apart."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vptm_mm.visualization.embedding import embed, plot_embedding


def make_features(count=60, width=6):
    generator = torch.Generator().manual_seed(0)
    classes = torch.arange(count) % 3
    centres = 5 * torch.eye(3, width)
    noise = torch.randn(count, width, generator=generator)
    return centres[classes] + 0.3 * noise, classes, centres


def test_pca_is_the_singular_value_decomposition():
    features, _, prototypes = make_features()
    points, axes = embed(features, 7 * prototypes, 'pca')
    unit = F.normalize(features.double(), dim=1)
    mean = unit.mean(0)
    _, values, vectors = torch.linalg.svd(unit - mean, full_matrices=False)
    centres = F.normalize(prototypes.double(), dim=1)
    # The signs of components are free.
    expected = (torch.cat([unit, centres]) - mean) @ vectors[:2].T
    np.testing.assert_allclose(abs(points), abs(expected), atol=1e-8)
    share = values[0] ** 2 / values.square().sum()
    assert f'component 1 ({share:.0%} of' in axes[0]


def test_tsne_has_a_seed_and_keeps_classes_together():
    features, classes, prototypes = make_features()
    found, axes = embed(features, prototypes, 'tsne', seed=1)
    again, _ = embed(features, prototypes, 'tsne', seed=1)
    assert (found == again).all()
    apart = found[:60, None] - found[None, 60:]
    nearest = np.linalg.norm(apart, axis=-1).argmin(1)
    assert (nearest == classes.numpy()).all()
    assert axes == ()


def test_few_images_without_prototypes():
    features, _, _ = make_features(5)
    points, _ = embed(features, None, 'tsne')
    assert points.shape == (5, 2)


def test_too_few_images():
    features, _, _ = make_features(4)
    with pytest.raises(ValueError, match='4 images are too few'):
        embed(features, None)


@pytest.mark.parametrize('num_classes', [3, 200])
def test_names_up_to_forty_classes(num_classes):
    features, _, _ = make_features()
    generator = torch.Generator().manual_seed(0)
    prototypes = torch.randn(num_classes, 6, generator=generator)
    names = [f'c{i}' for i in range(num_classes)]
    figure = plot_embedding(
        *embed(features, prototypes, 'pca'),
        torch.arange(60) % num_classes,
        names,
        'title',
    )
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert shown == (names if num_classes == 3 else [])
    legends = [
        [text.get_text() for text in legend.get_texts()]
        for legend in figure.legends
    ]
    assert legends == ([names] if num_classes == 3 else [])
