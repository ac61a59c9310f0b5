"""Fonts for names in any script."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

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

STANDS_IN = 'Last Resort'  # matplotlib's own font of boxes


@contextmanager
def fonts_of(figure: Figure) -> Iterator[None]:
    """Have each character of a figure drawn inside as it is written.

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
    # Upright and regular ones last, so that they stand for their families.
    entries = sorted(
        fontManager.ttflist if lacking else [],
        key=lambda entry: (entry.style == 'normal', entry.weight == 400),
    )
    fonts = {e.name: e.fname for e in entries if STANDS_IN not in e.name}
    while fonts and lacking:
        found = {name: _has(path, lacking) for name, path in fonts.items()}
        best = max(found, key=lambda name: len(found[name]))
        if not found[best]:
            break
        families.append(best)
        lacking -= found[best]
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
