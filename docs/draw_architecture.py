"""Draw docs/architecture.png: the data flow of VPTM.

python docs/draw_architecture.py

Units are inches; y runs upwards. Symbols: B batch; N patches; P prompts;
C embedding width; D blocks; V visual tokens; K classes.
"""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Patch
from sklearn.datasets import load_digits

Point = tuple[float, float]

WIDTH, HEIGHT, DPI = 9.0, 3.5, 200
SIZE, SMALL = 9.5, 8.5  # points; half as large in a README of 900 px
INK, LINE = '#1f2933', '#52606d'
FROZEN = ('#dbe7f3', '#3f6c9b')  # face, edge
TRAINED = ('#ffdcb3', '#d9730d')
STATE = ('#ffffff', LINE)  # a tensor, neither frozen nor trained
PLACE = '#c81e5b'  # the place of [MASK] in the image

CLS_Y, PATCH_Y, PROMPT_Y, MASK_Y = 2.95, 2.2, 1.4, 0.7
TOKEN_X = 3.13


def label(
    ax: Axes, place: Point, text: str, size: float = SIZE, **kwargs: Any
) -> None:
    """Write text centred at a place."""
    style = dict(color=INK, ha='center', va='center', linespacing=1.3)
    ax.text(*place, text, fontsize=size, **(style | kwargs))


def box(
    ax: Axes,
    centre: Point,
    size: Point,
    text: str,
    colors: tuple[str, str],
    stack: int = 0,
) -> None:
    """Draw a box with text, and ``stack`` more behind it."""
    rounded = 'round,pad=0,rounding_size=0.06'
    for shift in range(stack, -1, -1):
        left, bottom = (
            at - length / 2 + 0.05 * shift
            for at, length in zip(centre, size, strict=True)
        )
        patch = FancyBboxPatch((left, bottom), *size, boxstyle=rounded)
        patch.set(facecolor=colors[0], edgecolor=colors[1], linewidth=1.1)
        ax.add_patch(patch)
    label(ax, centre, text)


def arrow(ax: Axes, start: Point, end: Point, style: str = '-') -> None:
    """Draw a straight arrow."""
    arrowprops = dict(arrowstyle='-|>', color=LINE, lw=1.3, ls=style)
    arrowprops |= dict(shrinkA=0, shrinkB=0, mutation_scale=10)
    ax.annotate('', end, start, arrowprops=arrowprops)


def draw_image(ax: Axes) -> None:
    """Draw a digit, its patches, and the place of [MASK]."""
    x, side = 0.72, 1.24
    left, right = x - side / 2, x + side / 2
    bottom, top = PATCH_Y - side / 2, PATCH_Y + side / 2
    digit = load_digits().images[0]
    ax.imshow(digit, cmap='gray', extent=(left, right, bottom, top))
    style = dict(color=FROZEN[1], lw=1.0)
    for line in range(5):
        at = line * side / 4
        ax.plot([left, right], [bottom + at] * 2, **style)
        ax.plot([left + at] * 2, [bottom, top], **style)
    label(ax, (x, top + 0.16), 'image')

    ax.plot([x, TOKEN_X - 0.48], [PATCH_Y, MASK_Y], color=PLACE, lw=1.0)
    ax.plot(x, PATCH_Y, 'o', ms=6, color=PLACE, mec='white', mew=1.0)
    text = '[MASK] has a place\nin the image'
    label(ax, (1.2, 0.9), text, SMALL, color=PLACE)


def draw_tokens(ax: Axes) -> None:
    """Draw the sequence and what reads it, up to the state at [MASK]."""
    arrow(ax, (1.38, PATCH_Y), (1.56, PATCH_Y))
    box(ax, (2.0, PATCH_Y), (0.86, 0.5), 'patch\nembedding', FROZEN)
    arrow(ax, (2.45, PATCH_Y), (2.65, PATCH_Y))
    for y, text, colors, stack in (
        (CLS_Y, '[CLS]', FROZEN, 0),
        (PATCH_Y, '$N$ patches', FROZEN, 2),
        (PROMPT_Y, '$P$ prompts', TRAINED, 2),
        (MASK_Y, '[MASK]', FROZEN, 0),
    ):
        box(ax, (TOKEN_X, y), (0.92, 0.38), text, colors, stack)
        arrow(ax, (TOKEN_X + 0.47 + 0.05 * stack, y), (3.9, y))

    y, height = (CLS_Y + MASK_Y) / 2, CLS_Y - MASK_Y + 0.5
    text = 'frozen\nBEiT v2\nblocks\n$\\times\\,D$'
    box(ax, (4.3, y), (0.78, height), text, FROZEN, 2)
    box(ax, (5.0, y), (0.27, height), '', FROZEN)
    label(ax, (5.0, y), 'final norm', rotation='vertical')
    arrow(ax, (5.14, MASK_Y), (5.33, MASK_Y))
    box(ax, (5.83, MASK_Y), (0.98, 0.5), '[MASK] state\n$h$ ($B$, $C$)', STATE)


def draw_head(ax: Axes) -> None:
    """Draw both ways from the state at [MASK] to the class scores."""
    x, y = 5.9, 2.15
    arrow(ax, (6.33, MASK_Y), (7.1, MASK_Y))
    label(ax, (6.12, 0.28), "visual_token='hidden' (default)", SMALL)
    arrow(ax, (x, MASK_Y + 0.26), (x, y - 0.48), '--')
    text = 'token\npredictor\n$C \\to V$,\nlog-softmax'
    box(ax, (x, y), (1.1, 0.94), text, FROZEN)
    label(ax, (x, y + 0.67), "optional:\nvisual_token='logits'", SMALL)
    arrow(ax, (x + 0.56, y), (7.1, y), '--')
    label(ax, (6.76, MASK_Y + 0.13), '$z$')
    label(ax, (6.76, y + 0.13), '$z$')

    text = (
        'verbalizer\n\n$v = W z$\n\n'
        '$s_k = \\dfrac{\\cos(v, c_k)}{\\tau}$\n\n$W$, $c_k$ trained'
    )
    box(ax, (7.63, 1.53), (1.04, 2.18), text, TRAINED)
    arrow(ax, (8.16, 1.53), (8.36, 1.53))
    label(ax, (8.66, 1.53), 'class\nscores\n($B$, $K$)')


def main() -> None:
    """Write the picture next to this file."""
    figure = Figure(figsize=(WIDTH, HEIGHT), facecolor='white')
    ax = figure.add_axes((0, 0, 1, 1))
    draw_image(ax)
    draw_tokens(ax)
    draw_head(ax)
    ax.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
    ax.axis('off')
    handles = [
        Patch(facecolor=face, edgecolor=edge, label=name)
        for name, (face, edge) in (('frozen', FROZEN), ('trained', TRAINED))
    ]
    style = dict(ncols=2, fontsize=SIZE, frameon=False, labelcolor=INK)
    ax.legend(handles=handles, loc='upper right', **style)
    # Without the version of matplotlib, which would change the file.
    path = Path(__file__).with_name('architecture.png')
    figure.savefig(path, dpi=DPI, metadata={'Software': None})


if __name__ == '__main__':
    main()
