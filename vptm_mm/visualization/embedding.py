"""Features and prototypes in the plane.

Symbols: B images; K classes; d prototype dimension; v the feature that the
head compares with the prototypes.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from torch import Tensor

from .style import INK, MARKERS, OKABE_ITO, short_names

MAX_NAMED = len(OKABE_ITO) * len(MARKERS)  # classes; above, no legend
MAX_LABELLED = 20  # classes; above, no names beside the prototypes
MIN_IMAGES = 5
PERPLEXITY = 30.0


def embed(
    features: Tensor,
    prototypes: Tensor | None,
    method: str = 'tsne',
    seed: int = 0,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Put features and prototypes in the plane.

    With prototypes all vectors are scaled to length 1 first: the verbalizer
    sees angles only. t-SNE (van der Maaten and Hinton, 2008
    <https://www.jmlr.org/papers/v9/vandermaaten08a.html>) places both
    together; PCA is fitted to the features, and the prototypes follow.

    Args:
        features: v, ``(B, d)``.
        prototypes: ``(K, d)``; None if the head has none.
        method: ``'tsne'`` or ``'pca'``.
        seed: Seed of t-SNE.

    Returns:
        A place for each image, then for each prototype, ``(B + K, 2)``; and
        what the two axes mean, empty if nothing.

    Raises:
        ValueError: If there are fewer than 5 images.
    """
    if len(features) < MIN_IMAGES:
        raise ValueError(
            f'{len(features)} images are too few for a map of features; take '
            f'{MIN_IMAGES} or more.'
        )
    vectors = features.double()
    if prototypes is not None:
        vectors = torch.cat([vectors, prototypes.double()])
        vectors = F.normalize(vectors, dim=-1)
    matrix = vectors.numpy()
    if method == 'pca':
        pca = PCA(2, random_state=seed).fit(matrix[: len(features)])
        return pca.transform(matrix), tuple(
            f'principal component {i + 1} ({share:.0%} of the variance)'
            for i, share in enumerate(pca.explained_variance_ratio_)
        )
    perplexity = min(PERPLEXITY, (len(matrix) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init='pca', random_state=seed)
    return tsne.fit_transform(matrix), ()


def plot_embedding(
    points: np.ndarray,
    axes: tuple[str, ...],
    classes: Tensor,
    names: Sequence[str],
    title: str,
) -> Figure:
    """Plot a map of features; prototypes are large, with a black rim.

    A class is a colour and a shape. There are 40 such pairs: above 40 classes
    they repeat, and there is no legend. Up to 20 classes, prototypes have
    names.

    Args:
        points: A place for each image and prototype, as of ``embed``.
        axes: What the two axes mean.
        classes: Class of each image, ``(B,)``.
        names: Of the K classes.
        title: Stands above.
    """
    images, prototypes = np.split(points, [len(classes)])
    present = np.union1d(classes.numpy(), np.arange(len(prototypes)))
    present = present.astype(int)
    named = len(present) <= MAX_NAMED
    columns = math.ceil(len(present) / MAX_LABELLED) if named else 0
    size = (6.2 + 1.6 * columns, 5.6)
    figure = Figure(figsize=size, layout='constrained')
    ax = figure.subplots()
    for label in present:
        style: dict[str, Any] = dict(
            color=OKABE_ITO[label % len(OKABE_ITO)],
            marker=MARKERS[label // len(OKABE_ITO) % len(MARKERS)],
        )
        x, y = images[classes.numpy() == label].T
        name = short_names([names[label]])[0]
        ax.scatter(x, y, s=14, alpha=0.75, lw=0, label=name, **style)
        if len(prototypes):
            x, y = prototypes[label]
            rim: dict[str, Any] = dict(edgecolor='black', lw=1.4, zorder=3)
            ax.scatter(x, y, s=150, **rim, **style)
            if len(present) <= MAX_LABELLED:
                _name(ax, (x, y), name)
    ax.set_title(title, fontsize=10, color=INK)
    if axes:
        ax.set(xlabel=axes[0], ylabel=axes[1])
    else:
        ax.set(xticks=[], yticks=[])
    if named:
        figure.legend(
            loc='outside right center',
            ncols=columns,
            frameon=False,
            fontsize=8,
            markerscale=1.6,
        )
    return figure


def _name(ax: Axes, place: tuple[float, float], name: str) -> None:
    """Write the name of a class beside its prototype, on a white rim."""
    text = ax.annotate(
        name[:12],
        place,
        xytext=(8, 6),
        textcoords='offset points',
        fontsize=9,
        fontweight='bold',
        color=INK,
        zorder=4,
    )
    text.set_in_layout(False)
    text.set_path_effects([withStroke(linewidth=2.5, foreground='white')])
