"""Draws where [MASK] and the prompts look.

Symbols: N patches; P prompt tokens; M [MASK] tokens; D blocks; Q tokens that
look, [MASK]s or prompts.
"""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from torch import Tensor

from .attention import KINDS, AttentionMaps
from .style import HEAT, INK, OKABE_ITO, PLACE

MAX_MASKS = 9  # rows; above, one row with the mean of all
MAX_PROMPTS = 12  # rows; above, the first ones
CELL = 0.82  # inches
OPACITY = 0.75  # of the heat over the image


def draw_attention(
    pixels: np.ndarray,
    masks: Tensor,
    prompts: Tensor,
    mask_places: Tensor | None,
    title: str,
) -> Figure:
    """Draw where each [MASK] and each prompt looks in one image.

    A row for each token, a column for each block, the rollout last. Above 9
    [MASK]s their mean is drawn; above 12 prompts, the first 12.

    Args:
        pixels: The image, ``(height, width, 3)``, 0-1.
        masks: ``AttentionMaps.patches`` of one image, ``(D + 1, M, N)``.
        prompts: The same of the prompts, ``(D + 1, P, N)``.
        mask_places: ``TokenSequence.mask_places``.
        title: Stands above everything.
    """
    depth, side = len(masks) - 1, math.isqrt(masks.size(-1))
    if mask_places is not None:
        mask_places = (mask_places + 0.5) / side  # 0-1
    rows = _rows(masks, prompts, mask_places)
    size = (CELL * (depth + 2) + 0.9, CELL * len(rows) + 1.5)
    layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02)
    figure = Figure(figsize=size, layout=layout)
    heights = [1.0] * len(rows) + [0.12]  # the last one for colour bars
    grid = figure.add_gridspec(len(rows) + 1, depth + 2, height_ratios=heights)
    axes = [
        [figure.add_subplot(grid[row, column]) for column in range(depth + 2)]
        for row in range(len(rows))
    ]
    # Two scales: the residual connections make the rollout more even.
    scales = [
        _scale([maps[part] for _, maps, _ in rows])
        for part in (slice(depth), slice(depth, None))
    ]
    for row, (name, maps, places) in enumerate(rows):
        _draw_image(axes[row][0], pixels, places)
        axes[row][0].set_ylabel(
            name, rotation=0, ha='right', va='center', fontsize=8, color=INK
        )
        for step, ax in enumerate(axes[row][1:]):
            _draw_heat(ax, pixels, maps[step], scales[step == depth])
    heads = ['image', *(f'block {i}' for i in range(depth)), 'rollout']
    for ax, head in zip(axes[0], heads, strict=True):
        ax.set_title(head, fontsize=8, color=INK)
    for scale, place, text in (
        (scales[0], grid[-1, 1:-1], 'share of the attention on a patch (%)'),
        (scales[1], grid[-1, -1], '%'),
    ):
        bar = figure.colorbar(
            ScalarMappable(scale, HEAT),
            cax=figure.add_subplot(place),
            orientation='horizontal',
            alpha=OPACITY,
            extend='both',
        )
        bar.set_label(text, fontsize=8, color=INK)
        bar.ax.tick_params(labelsize=7)
    figure.suptitle(title, fontsize=10, color=INK)
    return figure


def _rows(
    masks: Tensor, prompts: Tensor, places: Tensor | None
) -> list[tuple[str, Tensor, Tensor | None]]:
    """Name what looks in each row, and say where it stands in the image."""
    num_masks = masks.size(1)
    if num_masks > MAX_MASKS:
        rows = [(f'{num_masks}\n[MASK]s', masks.mean(1), places)]
    else:
        rows = [
            (
                f'[MASK] {i}' if num_masks > 1 else '[MASK]',
                masks[:, i],
                None if places is None else places[i : i + 1],
            )
            for i in range(num_masks)
        ]
    shown = min(prompts.size(1), MAX_PROMPTS)
    return rows + [(f'prompt {i}', prompts[:, i], None) for i in range(shown)]


def _scale(maps: list[Tensor]) -> Normalize:
    values = np.concatenate([m.numpy().ravel() for m in maps])
    values = values[np.isfinite(values)]
    # A few sharp patches would leave all others dark.
    return Normalize(*(100 * np.quantile(values, [0.01, 0.99])))


def _bare(ax: Axes) -> None:
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def _draw_image(ax: Axes, pixels: np.ndarray, places: Tensor | None) -> None:
    """Draw the image, and a ring where [MASK] stands."""
    _bare(ax)
    ax.imshow(pixels, extent=(0, 1, 1, 0), interpolation='nearest')
    if places is not None:
        style: dict[str, Any] = dict(
            mfc='none', mec=PLACE, ms=8, mew=2, ls='none'
        )
        ax.plot(places[:, 1], places[:, 0], 'o', **style)


def _draw_heat(
    ax: Axes, pixels: np.ndarray, looks: Tensor, scale: Normalize
) -> None:
    _bare(ax)
    if not looks.isfinite().all():
        ax.set(xlim=(0, 1), ylim=(1, 0), aspect='equal')
        ax.text(
            *(0.5, 0.5, 'not yet\nentered'),
            ha='center',
            va='center',
            fontsize=7,
            color=INK,
        )
        return
    side = math.isqrt(len(looks))
    style: dict[str, Any] = dict(extent=(0, 1, 1, 0), interpolation='nearest')
    ax.imshow(pixels.mean(-1), cmap='gray', vmin=0, vmax=1, **style)
    heat = 100 * looks.view(side, side).numpy()
    ax.imshow(heat, cmap=HEAT, norm=scale, alpha=OPACITY, **style)


def draw_shares(
    masks: AttentionMaps, prompts: AttentionMaps, title: str
) -> Figure:
    """Draw what kinds of tokens are looked at, averaged over the images.

    Args:
        masks: The maps of the [MASK]s.
        prompts: The maps of the prompts; without prompts, one panel is drawn.
        title: Stands above everything.
    """
    panels = [('[MASK] looks', masks), ('the prompts look', prompts)]
    panels = [(name, m) for name, m in panels if m.shares.size(2)]
    depth = masks.shares.size(1) - 1
    width = max(4.0, 0.45 * depth + 2.2)
    figure = Figure(figsize=(width * len(panels), 3.3), layout='constrained')
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    steps = [*map(str, range(depth)), 'rollout']
    for ax, (name, maps) in zip(axes, panels, strict=True):
        shares = 100 * maps.shares.mean((0, 2)).numpy()  # (D + 1, 4)
        bottom = np.zeros(depth + 1)
        for kind, color, share in zip(
            KINDS, OKABE_ITO, shares.T, strict=False
        ):
            ax.bar(steps, share, bottom=bottom, color=color, label=kind)
            bottom += share
        ax.set_title(f'what {name} at', fontsize=9, color=INK)
        ax.set(xlabel='block', ylim=(0, 100))
    axes[0].set_ylabel('share of the attention (%)')
    figure.legend(
        *axes[0].get_legend_handles_labels(),
        loc='outside lower center',
        ncols=len(KINDS),
        frameon=False,
    )
    figure.suptitle(title, fontsize=10, color=INK)
    return figure
