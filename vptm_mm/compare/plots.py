"""Plots of a comparison, in colours that colour-blind readers can tell."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..visualization.style import OKABE_ITO, write_png
from .plan import Axis, slug

# Yellow is too pale for lines on white.
COLOURS = (*OKABE_ITO[:6], OKABE_ITO[7])
MARKERS = 'osD^vPX'
# More lines than this have no bands.
CROWD = 4


def plot_parameters(rows: pd.DataFrame, dataset: str, folder: Path) -> Path:
    """Plot test accuracy against trainable parameters; the legend follows it.

    Args:
        rows: Methods on one data set.
        dataset: Its name.
        folder: Where the file is written.
    """
    rows = rows.fillna({'test_std': 0.0})
    figure = Figure(figsize=(8, 5.5), layout='constrained')
    axes = figure.subplots()
    for (colour, marker), row in zip(
        _styles(), rows.itertuples(), strict=False
    ):
        axes.errorbar(
            max(row.tuned, 1),
            row.test_mean,
            yerr=row.test_std,
            color=colour,
            marker=marker,
            markersize=7,
            capsize=3,
            linewidth=1,
            linestyle='',
            label=row.method,
        )
    axes.set_xscale('log')
    axes.set(
        xlabel='trainable parameters',
        ylabel='test top-1 (%), mean ± standard deviation',
        title=dataset,
    )
    axes.grid(color='0.92')
    axes.set_axisbelow(True)
    handles, _ = axes.get_legend_handles_labels()
    order = np.argsort(-rows.test_mean.to_numpy(), kind='stable')
    _add_legend(figure, [handles[place] for place in order])
    return write_png(figure, folder / f'parameters_{slug(dataset)}.png')


def plot_axis(
    axis: Axis, rows: pd.DataFrame, dataset: str, folder: Path
) -> Path:
    """Plot test accuracy along an axis; the band is one deviation.

    A method without the axis is a flat reference line. Too many methods to
    tell their bands apart have none. The legend follows the right end of the
    lines.

    Args:
        axis: The axis.
        rows: One row for each method and value.
        dataset: The data set's name.
        folder: Where the file is written.
    """
    rows = rows.fillna({'test_std': 0.0})
    measured = set(rows.value)
    ticks = [label for label in axis.values if label in measured]
    figure = Figure(figsize=(8, 4.5), layout='constrained')
    axes = figure.subplots()
    methods = rows.groupby('method', sort=False)
    crowded = len(methods) > CROWD
    ends = {}
    for (colour, marker), (method, own) in zip(
        _styles(), methods, strict=False
    ):
        mean = own.test_mean.to_numpy()
        deviation = own.test_std.to_numpy()
        places = [ticks.index(value) for value in own.value if value]
        label, line = method, f'{marker}-'
        if not places:
            places = [0, max(len(ticks) - 1, 1)]
            mean, deviation = np.repeat(mean, 2), np.repeat(deviation, 2)
            label, line = f'{label} (has no {axis.name})', '--'
        (plotted,) = axes.plot(places, mean, line, color=colour, label=label)
        ends[plotted] = mean[-1]
        if crowded:
            continue
        axes.fill_between(
            places,
            mean - deviation,
            mean + deviation,
            color=colour,
            alpha=0.18,
            linewidth=0,
        )
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set(
        xlabel=axis.name,
        ylabel='test top-1 (%), mean' + ('' if crowded else ' ± std'),
        title=dataset,
    )
    axes.grid(color='0.92')
    _add_legend(figure, sorted(ends, key=lambda line: -ends[line]))
    name = f'axis_{slug(axis.name)}_{slug(dataset)}.png'
    return write_png(figure, folder / name)


def _add_legend(figure: Figure, handles: Sequence[Any]) -> None:
    figure.legend(handles=handles, loc='outside right upper', frameon=False)


def _styles() -> list[tuple[str, str]]:
    return [(c, m) for m in MARKERS for c in COLOURS]
