"""Draws which visual tokens the frozen predictor puts at [MASK].

Symbols: p patch size in pixels.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from .style import INK, short_names
from .tokens import TokenCounts

MAX_CLASSES = 20  # rows; above, the classes whose tokens changed most
TOP = 3  # tokens for each class


def shown_tokens(counts: TokenCounts) -> list[int]:
    """Return the tokens that ``draw_tokens`` needs examples of."""
    tokens = {
        token
        for label in counts.changed_classes(MAX_CLASSES)
        for after in (False, True)
        for token in counts.top(label, after, TOP)
    }
    return sorted(tokens)


def draw_tokens(
    counts: TokenCounts,
    examples: Mapping[int, Tensor],
    names: Sequence[str],
) -> Figure:
    """Draw the most frequent tokens of each class, before and after tuning.

    A row a class; for each token its share of the class's [MASK]s, its id and
    the patches that look like it. Above 20 classes, the 20 whose tokens
    changed most.

    Args:
        counts: How often each token stands at [MASK].
        examples: Patches of each token, ``(patches, p, p, 3)``.
        names: Of the classes.
    """
    classes = counts.changed_classes(MAX_CLASSES)
    height = 0.72 * len(classes) + 1.1
    figure = Figure(figsize=(9.6, height), layout='constrained')
    halves: Any = figure.subfigures(1, 2)
    for half, after in zip(halves, (False, True), strict=True):
        half.suptitle(
            'after tuning' if after else 'before tuning (no prompts)',
            fontsize=9,
            color=INK,
        )
        axes = half.subplots(
            len(classes),
            TOP,
            squeeze=False,
            gridspec_kw=dict(wspace=0.1, hspace=0.1),
        )
        for row, label in zip(axes, classes, strict=True):
            total = max(int(counts.before[label].sum()), 1)
            tokens = counts.top(label, after, TOP)
            for ax in row:
                ax.set(xticks=[], yticks=[])
                ax.spines[:].set_visible(False)
            for ax, token in zip(row, tokens, strict=False):
                found = (counts.after if after else counts.before)[label]
                share = int(found[token]) / total
                _draw_token(ax, examples[token], f'{token}: {share:.0%}')
            if not after:
                (name,) = short_names([names[label]])
                row[0].set_ylabel(
                    name, rotation=0, ha='right', va='center', fontsize=9
                )
    below_title = 1 - 0.45 / height
    line = Line2D([0.5, 0.5], [0.02, below_title], color='0.7', lw=1)
    figure.add_artist(line)
    figure.suptitle(
        'Visual tokens at [MASK], by class: id, share of the class, patches '
        f'that look like it\n{counts.unchanged:.0%} of all [MASK]s have the '
        'same token before and after',
        fontsize=10,
        color=INK,
    )
    return figure


def _draw_token(ax: Axes, patches: Tensor, caption: str) -> None:
    """Draw patches side by side, with white lines between them."""
    gap = np.ones((patches.size(1), max(1, patches.size(1) // 8), 3))
    strip = [part for patch in patches.numpy() for part in (patch, gap)]
    ax.imshow(np.concatenate(strip[:-1], 1), interpolation='nearest')
    ax.set_title(caption, fontsize=8, color=INK, pad=2)
