"""Pictures of what was measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..visualization.style import OKABE_ITO, write_png
from .entrants import SUFFIX
from .measure import INFERENCE, TRAINING

_COLOURS = {INFERENCE: OKABE_ITO[0], TRAINING: OKABE_ITO[3]}
_WIDTH = 0.8


def draw_comparison(rows: Sequence[dict[str, Any]], path: Path) -> Path:
    """Draw how much faster than the stock blocks each entrant is.

    Args:
        rows: What ``measure_batch`` returned, of all batch sizes.
        path: Where the picture is written.
    """
    sizes = list(dict.fromkeys(row['batch_size'] for row in rows))
    names = list(dict.fromkeys(row['name'] for row in rows))
    # Apart: beside those in bfloat16, all others look alike.
    narrow = [name for name in names if name.endswith(SUFFIX)]
    groups = [[name for name in names if name not in narrow]]
    groups += [narrow] if narrow else []
    figure = Figure(
        figsize=(10, 1.6 + 0.55 * len(names)), layout='constrained'
    )
    FigureCanvasAgg(figure)
    grid = figure.subplots(
        len(groups),
        2,
        sharey='row',
        squeeze=False,
        height_ratios=[len(group) for group in groups],
    )
    height = _WIDTH / len(sizes)
    for panels, group in zip(grid, groups, strict=True):
        for axes, what in zip(panels, (INFERENCE, TRAINING), strict=True):
            for index, size in enumerate(sizes):
                here = {
                    row['name']: row['faster']
                    for row in rows
                    if row['what'] == what and row['batch_size'] == size
                }
                places = [
                    place - _WIDTH / 2 + (index + 0.5) * height
                    for place in range(len(group))
                ]
                bars = axes.barh(
                    places,
                    [here[name] for name in group],
                    height * 0.9,
                    color=OKABE_ITO[index % len(OKABE_ITO)],
                    label=f'batch {size}',
                )
                axes.bar_label(bars, fmt='%.2f', padding=2, fontsize=8)
            axes.axvline(1, color='0.4', linewidth=0.8)
            axes.set_yticks(range(len(group)), group)
            axes.margins(x=0.12, y=0.02)
        panels[0].invert_yaxis()
    for axes, what in zip(grid[0], (INFERENCE, TRAINING), strict=True):
        axes.set_title(what)
    for axes in grid[-1]:
        axes.set_xlabel("times as fast as MMPretrain's blocks in float32")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside upper center', ncols=4)
    return write_png(figure, path)


def draw_growth(rows: Sequence[dict[str, Any]], path: Path) -> Path:
    """Draw time and memory along each axis, and the arithmetic dashed.

    Args:
        rows: What ``measure_growth`` returned, of all axes.
        path: Where the picture is written.
    """
    names = list(dict.fromkeys(row['axis'] for row in rows))
    figure = Figure(figsize=(3.1 * len(names), 6.2), layout='constrained')
    FigureCanvasAgg(figure)
    grid = figure.subplots(2, len(names), squeeze=False)
    for column, name in enumerate(names):
        for what, colour in _COLOURS.items():
            here = [
                row
                for row in rows
                if row['axis'] == name and row['what'] == what
            ]
            _draw_time(grid[0][column], here, what, colour)
            if what == TRAINING:
                _draw_memory(grid[1][column], here)
        for axes in grid[:, column]:
            axes.set_xlabel(name)
            axes.set_ylim(0, 1.08 * axes.dataLim.ymax)
            axes.grid(color='0.92')
            axes.set_axisbelow(True)
            if name == 'classes':
                axes.set_xscale('log')
            else:
                axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    grid[0][0].set_ylabel('seconds')
    grid[1][0].set_ylabel('kept for backward (MB)')
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside upper center', ncols=4)
    return write_png(figure, path)


def _draw_time(
    axes: Axes, rows: Sequence[dict[str, Any]], what: str, colour: str
) -> None:
    values = [row['value'] for row in rows]
    times = [row['median_s'] for row in rows]
    errors = [
        [row['median_s'] - row['fastest_s'] for row in rows],
        [row['slowest_s'] - row['median_s'] for row in rows],
    ]
    axes.errorbar(
        values,
        times,
        yerr=errors,
        color=colour,
        marker='o',
        markersize=4,
        capsize=2,
        linewidth=1.2,
        label=what,
    )
    # At the rate of the point that is fastest for its arithmetic.
    rate = min(row['median_s'] / row['flops'] for row in rows)
    axes.plot(
        values,
        [rate * row['flops'] for row in rows],
        color=colour,
        linestyle='--',
        linewidth=1,
        label=f'arithmetic of {what}',
    )


def _draw_memory(axes: Axes, rows: Sequence[dict[str, Any]]) -> None:
    axes.plot(
        [row['value'] for row in rows],
        [row['kept_mb'] for row in rows],
        color=_COLOURS[TRAINING],
        marker='o',
        markersize=4,
        linewidth=1.2,
    )
