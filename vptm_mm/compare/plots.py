"""Plots of a comparison, in colours that colour-blind readers can tell."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from ..visualization.style import DPI, OKABE_ITO, write_png
from .plan import Axis, slug

# Yellow is too pale for lines on white.
COLOURS = (*OKABE_ITO[:6], OKABE_ITO[7])
MARKERS = 'osD^vPX'
# More lines than this are drawn without bands.
CROWD = 4
# Directions and distances (points) in which a label is tried.
ANGLES = (0, 30, -30, 60, -60, 90, -90, 120, -120, 150, -150, 180)
DISTANCES = (7, 14, 24, 36, 50, 66, 84, 104)
# A label has a line to its point unless all others are this much farther away.
CLEAR = 1.5


def draw_parameters(rows: pd.DataFrame, dataset: str, folder: Path) -> Path:
    """Draw test accuracy against tuned parameters, each point labelled.

    Args:
        rows: Methods on one data set.
        dataset: Its name.
        folder: Where the file is written.
    """
    rows = rows.fillna({'test_std': 0.0})
    # Labels are placed in pixels: those of the file.
    figure = Figure(figsize=(8, 5.5), dpi=DPI, layout='constrained')
    FigureCanvasAgg(figure)
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
        )
    axes.set_xscale('log')
    axes.margins(x=0.15, y=0.12)
    axes.set(
        xlabel='tuned parameters',
        ylabel='test top-1 (%), mean ± standard deviation',
        title=_plain(dataset),
    )
    axes.grid(color='0.92')
    axes.set_axisbelow(True)
    _label_points(figure, axes, rows)
    return write_png(figure, folder / f'parameters_{slug(dataset)}.png')


def draw_bars(rows: pd.DataFrame, dataset: str, folder: Path) -> Path:
    """Draw the test accuracy of each method as a bar, the best on top.

    Args:
        rows: Methods on one data set.
        dataset: Its name.
        folder: Where the file is written.
    """
    rows = rows.fillna({'test_std': 0.0})
    styles = dict(zip(rows.method, _styles(), strict=False))
    ranked = rows.sort_values('test_mean', kind='stable')
    figure = Figure(figsize=(8, 1.3 + 0.36 * len(rows)), layout='constrained')
    axes = figure.subplots()
    for place, row in enumerate(ranked.itertuples()):
        mean, deviation = row.test_mean, row.test_std
        axes.barh(
            place,
            mean,
            xerr=deviation,
            color=styles[row.method][0],
            error_kw=dict(ecolor='0.25', capsize=3, linewidth=1),
        )
        end = mean + deviation
        axes.text(end + 1, place, row.test, va='center', fontsize=9)
    names = [_plain(method) for method in ranked.method]
    axes.set_yticks(range(len(ranked)), names)
    # Room for the figures beside the bars.
    axes.set_xlim(0, 105 + 1.8 * rows.test.str.len().max())
    axes.margins(y=0.02)
    axes.set_xticks(range(0, 101, 20))
    axes.spines[['top', 'right']].set_visible(False)
    axes.set(xlabel='test top-1 (%)', title=_plain(dataset))
    return write_png(figure, folder / f'bars_{slug(dataset)}.png')


def draw_axis(
    axis: Axis, rows: pd.DataFrame, dataset: str, folder: Path
) -> Path:
    """Draw test accuracy along an axis; the band is one deviation.

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
        label, line = _plain(method), f'{marker}-'
        if not places:
            places = [0, max(len(ticks) - 1, 1)]
            mean, deviation = np.repeat(mean, 2), np.repeat(deviation, 2)
            label, line = f'{label} (has no {axis.name})', '--'
        (drawn,) = axes.plot(places, mean, line, color=colour, label=label)
        ends[drawn] = mean[-1]
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
    axes.set_xticks(range(len(ticks)), [_plain(tick) for tick in ticks])
    axes.set(
        xlabel=axis.name,
        ylabel='test top-1 (%), mean' + ('' if crowded else ' ± std'),
        title=_plain(dataset),
    )
    axes.grid(color='0.92')
    figure.legend(
        handles=sorted(ends, key=lambda line: -ends[line]),
        loc='outside right upper',
        frameon=False,
    )
    name = f'axis_{axis.name}_{slug(dataset)}.png'
    return write_png(figure, folder / name)


def _label_points(figure: Figure, axes: Axes, rows: pd.DataFrame) -> None:
    """Put each label where it hides no point, no bar and no other label.

    A line joins it to its point where that is far away or not clearly the
    nearest one.
    """
    figure.canvas.draw()
    # From here on nothing may move.
    figure.set_layout_engine('none')
    scale = figure.dpi / 72
    inside = axes.get_window_extent().padded(-2)
    spots = []
    taken: list[Bbox] = []
    for row in rows.itertuples():
        mean, deviation = row.test_mean, row.test_std
        number = max(row.tuned, 1)
        x, y = axes.transData.transform((number, mean))
        low = axes.transData.transform((number, mean - deviation))[1]
        high = axes.transData.transform((number, mean + deviation))[1]
        spots.append((x, y))
        taken.append(Bbox([[x - 6, y - 6], [x + 6, y + 6]]))
        taken.append(Bbox([[x - 4, low - 2], [x + 4, high + 2]]))
    for (x, y), row in zip(spots, rows.itertuples(), strict=True):
        text = axes.text(0, 0, _plain(row.method), fontsize=9, transform=None)
        size = text.get_window_extent()
        box = _free_box(x, y, size.width, size.height, scale, inside, taken)
        taken.append(box.padded(1))
        text.set_position((box.x0, box.y0 + size.height * 0.2))
        near = _nearest_in(box, (x, y))
        away = math.dist(near, (x, y))
        others = [
            math.dist(_nearest_in(box, spot), spot)
            for spot in spots
            if spot != (x, y)
        ]
        is_clear = min(others, default=math.inf) > CLEAR * away
        if away > 12 * scale or not is_clear:
            axes.annotate(
                '',
                (x, y),
                near,
                xycoords='figure pixels',
                textcoords='figure pixels',
                arrowprops=dict(arrowstyle='-', color='0.6', linewidth=0.7),
            )


def _free_box(
    x: float,
    y: float,
    width: float,
    height: float,
    scale: float,
    inside: Bbox,
    taken: Sequence[Bbox],
) -> Bbox:
    """Return the nearest free place for a label, in pixels."""
    best, least = None, math.inf
    for distance, angle in itertools.product(DISTANCES, ANGLES):
        across = math.cos(math.radians(angle))
        up = math.sin(math.radians(angle))
        centre_x = x + across * (distance * scale + width / 2)
        centre_y = y + up * (distance * scale + height / 2)
        box = Bbox.from_bounds(
            centre_x - width / 2, centre_y - height / 2, width, height
        )
        hidden = sum(box.overlaps(other) for other in taken)
        outside = not (
            inside.x0 <= box.x0
            and box.x1 <= inside.x1
            and inside.y0 <= box.y0
            and box.y1 <= inside.y1
        )
        cost = hidden + 10 * outside
        if cost < least:
            best, least = box, cost
        if not cost:
            break
    if best is None:
        return Bbox.from_bounds(x, y, width, height)
    return best


def _nearest_in(box: Bbox, point: tuple[float, float]) -> tuple[float, float]:
    """Return the place in a box that is nearest to a point."""
    x, y = point
    return min(max(x, box.x0), box.x1), min(max(y, box.y0), box.y1)


def _plain(name: str) -> str:
    """Return a name as it is to be drawn: a $ begins no formula."""
    return name.replace('$', r'\$')


def _styles() -> list[tuple[str, str]]:
    return [(c, m) for m in MARKERS for c in COLOURS]
