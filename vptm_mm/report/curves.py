"""Curves of a run as SVG that takes the colours of the page around it."""

import io
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..visualization.style import INK, OKABE_ITO
from .run_folder import Point

# Title, label of the axis, curves by their names in the legend.
PANELS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ('Loss', 'training loss', {'loss': 'loss'}),
    (
        'Accuracy',
        '%',
        {
            'validation top-1': 'accuracy/top1',
            'validation top-5': 'accuracy/top5',
        },
    ),
    ('Learning rate', '', {'learning rate': 'lr'}),
    (
        'Norms',
        'mean length',
        {
            'prompts': 'tuning/prompt_norm',
            'prototypes': 'tuning/prototype_norm',
        },
    ),
    (
        'Cosines with prototypes',
        'cosine',
        {
            'own class': 'tuning/cosine_own',
            'nearest other': 'tuning/cosine_other',
        },
    ),
    ('Gradient', 'norm', {'gradient': 'tuning/grad_norm'}),
    ('Temperature', '', {'temperature': 'tuning/temperature'}),
)
STYLE: Any = {
    'svg.fonttype': 'none',  # text that can be read, found and copied
    'svg.hashsalt': 'vptm_mm',
    'text.color': INK,
    'axes.labelcolor': INK,
    'axes.edgecolor': INK,
    'xtick.color': INK,
    'ytick.color': INK,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'legend.frameon': False,
    'font.size': 10,
}
COLORS = OKABE_ITO[:2]
FEW = 50  # points of a curve that are marked


def plot_panels(scalars: dict[str, list[Point]]) -> list[tuple[str, str]]:
    """Plot the curves that a run has.

    Returns:
        Title and SVG of each panel.
    """
    panels = []
    for title, label, names in PANELS:
        curves = {
            text: np.array(scalars[name])
            for text, name in names.items()
            if name in scalars
        }
        if curves:
            with mpl.rc_context(STYLE):
                panels.append((title, _plot(title, label, curves)))
    return panels


def _plot(title: str, label: str, curves: dict[str, np.ndarray]) -> str:
    figure = Figure(figsize=(4.4, 2.6), layout='constrained')
    ax = figure.subplots()
    for color, (text, points) in zip(COLORS, curves.items(), strict=False):
        marker = '.' if len(points) <= FEW else ''
        ax.plot(*points.T, color=color, label=text, marker=marker)
    ax.set(xlabel='iteration', ylabel=label)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if title == 'Gradient':
        ax.set_yscale('log')
    if len(curves) > 1:
        ax.legend()
    ax.grid(color=INK, alpha=0.12)
    buffer = io.StringIO()
    nothing = dict.fromkeys(('Date', 'Creator', 'Format', 'Type'))
    figure.savefig(buffer, format='svg', transparent=True, metadata=nothing)
    svg = buffer.getvalue()
    # Within a page there is no prologue, and the page says the colours.
    svg = svg[svg.index('<svg') :].replace(INK, 'currentColor')
    for number, color in enumerate(COLORS, 1):
        svg = svg.replace(color, f'var(--curve-{number})')
    return svg.replace('<svg', f'<svg role="img" aria-label="{title}"', 1)
