"""Which classes have prototypes alike.

Symbols: K classes; d prototype dimension.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch.nn.functional as F
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import dendrogram, leaves_list, linkage
from scipy.spatial.distance import squareform
from torch import Tensor

from ..nn import PrototypicalVerbalizer
from .style import INK, short_names

MAX_NAMED = 60  # classes; above, the axes have no names
COLORS = 'PuOr_r'


def prototypes_of(model: Any) -> Tensor | None:
    """Return the prototypes of a classifier, ``(K, d)``, or None."""
    verbalizer = getattr(model.head, 'verbalizer', None)
    if not isinstance(verbalizer, PrototypicalVerbalizer):
        return None
    return verbalizer.prototypes.detach().cpu().float()


def compare_prototypes(model: Any) -> np.ndarray:
    """Return the cosines of prototypes, ``(K, K)``, as the verbalizer does.

    Raises:
        ValueError: If the classifier has no prototypes, or only one.
    """
    prototypes = prototypes_of(model)
    if prototypes is None:
        raise ValueError(
            f'{type(model.head).__name__} has no prototypes; take a model '
            'with a PrototypeVerbalizerHead.'
        )
    if len(prototypes) < 2:
        raise ValueError(
            f'num_classes={len(prototypes)} must be >= 2 to be compared.'
        )
    unit = F.normalize(prototypes.double(), dim=-1)
    return (unit @ unit.T).clamp(-1, 1).numpy()


def nearest_pairs(
    cosines: np.ndarray, names: Sequence[str], limit: int = 10
) -> list[str]:
    """Say which prototypes are most alike."""
    rows, columns = np.triu_indices(len(cosines), 1)
    values = cosines[rows, columns]
    return [
        f'{names[rows[i]]} and {names[columns[i]]}: cosine {values[i]:.2f}'
        for i in np.argsort(-values, kind='stable')[:limit]
    ]


def plot_prototypes(cosines: np.ndarray, names: Sequence[str]) -> Figure:
    """Plot a heat map of the cosines, classes in clustered order.

    Average linkage of 1 - cosine; of the orders that the tree allows, the one
    in which neighbours are most alike. Above 60 classes the axes have no
    names.

    Args:
        cosines: Of each two prototypes, ``(K, K)``.
        names: Of the K classes.
    """
    distances = squareform(1 - cosines, checks=False)
    tree = linkage(distances, 'average', optimal_ordering=True)
    order = leaves_list(tree)
    num_classes = len(order)
    cosines = cosines[np.ix_(order, order)].copy()
    np.fill_diagonal(cosines, np.nan)  # always 1: it would set the scale
    limit = max(float(np.nanmax(np.abs(cosines))), 1e-3)

    side = min(max(4.2, 0.17 * num_classes + 2.4), 11)
    figure = Figure(figsize=(side + 1.6, side), layout='constrained')
    left, ax = figure.subplots(1, 2, width_ratios=(1, 5))
    dendrogram(
        tree,
        orientation='left',
        no_labels=True,
        link_color_func=lambda link: INK,
        ax=left,
    )
    left.collections[0].set_linewidth(0.8)
    left.invert_yaxis()  # as the rows of the heat map
    left.set_xlabel('1 - cosine')
    left.spines[['left', 'right', 'top']].set_visible(False)
    ax.set_facecolor('0.8')
    image = ax.imshow(
        cosines, cmap=COLORS, vmin=-limit, vmax=limit, aspect='auto'
    )
    if num_classes <= MAX_NAMED:
        labels = short_names([names[i] for i in order])
        size = 9 if num_classes <= 20 else 6.5
        upright = 0 if all(len(label) < 3 for label in labels) else 90
        ticks = range(num_classes)
        ax.set_xticks(ticks, labels, rotation=upright, fontsize=size)
        ax.set_yticks(ticks, labels, fontsize=size)
    else:
        ax.set(xticks=[], yticks=[])
        ax.set(xlabel=f'{num_classes} classes, clustered')
    bar = figure.colorbar(image, ax=ax, shrink=0.8)
    bar.set_label('cosine of two prototypes')
    figure.suptitle(
        'Prototypes that are alike stand together', fontsize=10, color=INK
    )
    return figure
