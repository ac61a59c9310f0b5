"""Which class is taken for which.

Symbols: B images; K classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix
from torch import Tensor

from .style import INK, short_names

MAX_CLASSES = 40  # above, the most confused ones
MAX_COUNTED = 20  # above, cells have no numbers
COLORS = 'cividis'


def count_confusions(
    labels: Tensor | None, predicted: Tensor, num_classes: int
) -> np.ndarray:
    """Count images by true class (rows) and predicted class (columns).

    Raises:
        ValueError: If the images have no true classes.
    """
    if labels is None:
        raise ValueError(
            'the images have no true classes, without which nothing can be '
            'confused; take a labelled split.'
        )
    return confusion_matrix(
        labels.numpy(), predicted.numpy(), labels=np.arange(num_classes)
    )


def most_confused(counts: np.ndarray, limit: int) -> np.ndarray:
    """Choose the classes with the most errors, given or received.

    Returns:
        At most ``limit`` classes, in their order.
    """
    errors = counts - np.diag(np.diag(counts))
    involved = errors.sum(0) + errors.sum(1)
    worst = np.argsort(-involved, kind='stable')[:limit]
    return np.sort(worst)


def confused_pairs(
    counts: np.ndarray, names: Sequence[str], limit: int = 10
) -> list[str]:
    """Say which classes are taken for which most often."""
    errors = counts - np.diag(np.diag(counts))
    order = np.argsort(-errors, axis=None, kind='stable')[:limit]
    pairs = zip(*np.unravel_index(order, errors.shape), strict=True)
    return [
        f'{names[true]} taken for {names[wrong]}: {errors[true, wrong]} of '
        f'{counts[true].sum()}'
        for true, wrong in pairs
        if errors[true, wrong]
    ]


def plot_confusion(counts: np.ndarray, names: Sequence[str]) -> Figure:
    """Plot a confusion matrix: colours are shares of a true class.

    Above 40 classes the 40 with the most errors are shown; up to 20 classes,
    cells hold the number of images.

    Args:
        counts: Images by true and predicted class, ``(K, K)``.
        names: Of the K classes.
    """
    accuracy = 100 * np.trace(counts) / max(counts.sum(), 1)
    # Before classes are left out, so that a row is a share of its class.
    shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    shown = most_confused(counts, MAX_CLASSES)
    title = f'Confusion of {counts.sum()} images: top-1 {accuracy:.1f} %'
    if len(shown) < len(counts):
        title += (
            f'\nthe {len(shown)} of {len(counts)} classes with the most errors'
        )
    side = max(4.5, 0.2 * len(shown) + 2.5, 0.42 * min(len(shown), 20) + 2)
    figure = Figure(figsize=(side + 0.8, side), layout='constrained')
    ax = figure.subplots()
    picked = np.ix_(shown, shown)
    # The square root shows rare confusions beside the diagonal.
    scale = PowerNorm(0.5, 0, 100)
    image = ax.imshow(shares[picked], cmap=COLORS, norm=scale)
    labels = short_names([names[i] for i in shown])
    size = 9 if len(shown) <= MAX_COUNTED else 7
    ticks = range(len(shown))
    ax.set_xticks(ticks, labels, rotation=90, fontsize=size)
    ax.set_yticks(ticks, labels, fontsize=size)
    if all(len(label) < 3 for label in labels):
        ax.tick_params(axis='x', rotation=0)
    ax.set(xlabel='predicted class', ylabel='true class')
    ax.set_title(title, fontsize=10, color=INK)
    if len(shown) <= MAX_COUNTED:
        _write_counts(ax, counts[picked], shares[picked])
    bar = figure.colorbar(image, ax=ax, shrink=0.8)
    bar.set_label('share of the true class (%)')
    return figure


def _write_counts(ax: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    for (row, column), count in np.ndenumerate(counts):
        if count:
            color = 'black' if shares[row, column] > 35 else 'white'
            style: dict[str, Any] = dict(
                ha='center', va='center', fontsize=8, color=color
            )
            ax.text(column, row, str(count), **style)
