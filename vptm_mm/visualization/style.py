"""What all pictures share: colours, names, fonts, how a file is written."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from matplotlib import get_cachedir
from matplotlib.figure import Figure
from matplotlib.font_manager import (
    FontProperties,
    findfont,
    fontManager,
    get_font,
)
from matplotlib.text import Text
from mmengine.logging import MMLogger

from ..weights import open_whole

# Okabe and Ito's colours, which colour-blind readers can tell apart.
OKABE_ITO = (
    '#0072b2',
    '#e69f00',
    '#009e73',
    '#d55e00',
    '#56b4e9',
    '#cc79a7',
    '#f0e442',
    '#000000',
)
# With the colours, enough pairs for 40 classes.
MARKERS = 'osD^v'
HEAT = 'viridis'
INK, PLACE = '#1f2933', '#d55e00'
DPI = 110
MAX_NAME = 22  # characters
STANDS_IN = 'Last Resort'  # matplotlib's own font of boxes


def short_names(names: Sequence[str]) -> list[str]:
    """Cut long class names, so that they fit beside an axis."""
    return [
        name if len(name) <= MAX_NAME else f'{name[: MAX_NAME - 1]}…'
        for name in map(str, names)
    ]


def write_png(figure: Figure, path: str | Path) -> Path:
    """Write a picture; the same figure gives the same file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with fonts_of(figure), open_whole(path) as file:
        figure.savefig(
            file,
            format='png',
            dpi=DPI,
            facecolor='white',
            # The version of matplotlib would change the file.
            metadata={'Software': None},
        )
    return path


@contextmanager
def fonts_of(figure: Figure) -> Iterator[None]:
    """Have each character of a figure shown inside as it is written.

    Args:
        figure: Its texts get further families of fonts where the default one
            lacks characters; a dollar of a name begins no formula.
    """
    texts = [text for text in figure.findobj(Text) if text.get_text()]
    families = find_families(frozenset(''.join(t.get_text() for t in texts)))
    for text in texts:
        text.set_parse_math(r'\math' in text.get_text())  # of log axes
        if families:
            text.set_fontfamily([*text.get_fontfamily(), *families])
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'Glyph .* missing from ')
        yield


@cache
def find_families(characters: frozenset[str]) -> list[str]:
    """Find families of installed fonts for what the default font lacks.

    The log names the characters that no font has.

    Args:
        characters: What is written.
    """
    lacking = {c for c in characters if c.isprintable()}
    lacking -= _has(findfont(FontProperties()), lacking)
    families: list[str] = []
    # Upright and regular ones first.
    for entry in sorted(
        fontManager.ttflist if lacking else [],
        key=lambda entry: (entry.style != 'normal', entry.weight != 400),
    ):
        if STANDS_IN in entry.name or not lacking:
            continue
        if found := _has(entry.fname, lacking):
            families.append(entry.name)
            lacking -= found
    if lacking:
        MMLogger.get_current_instance().warning(
            f'No installed font has {"".join(sorted(lacking)[:40])}: pictures '
            'show boxes there. Install one that has, as Noto Sans CJK for '
            'Chinese, Japanese and Korean (fonts-noto-cjk in Debian), then '
            f'delete {get_cachedir()}/fontlist-*.json.'
        )
    return families


def _has(font: str, characters: set[str]) -> set[str]:
    try:
        file = get_font(font)
    except (OSError, RuntimeError):  # gone since matplotlib listed it
        return set()
    return {c for c in characters if file.get_char_index(ord(c))}
