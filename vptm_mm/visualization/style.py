"""What all pictures share: colours, names, fonts, how a file is written."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names
from matplotlib.text import Text

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
# Families for what matplotlib's own font lacks, where they are installed.
FONTS = (
    'Noto Sans CJK JP',
    'Noto Sans CJK SC',
    'WenQuanYi Zen Hei',
    'Hiragino Sans',
    'Microsoft YaHei',
    'Malgun Gothic',
    'Noto Sans Arabic',
    'Noto Sans Devanagari',
    'Noto Sans Thai',
    'Arial Unicode MS',
)


def short_names(names: Sequence[str]) -> list[str]:
    """Cut long class names, so that they fit beside an axis."""
    return [
        name if len(name) <= MAX_NAME else f'{name[: MAX_NAME - 1]}…'
        for name in map(str, names)
    ]


def write_png(figure: Figure, path: str | Path) -> Path:
    """Write a picture; the same figure gives the same file.

    A dollar of a name begins no formula.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    installed = set(get_font_names())
    fonts = [name for name in FONTS if name in installed]
    for text in figure.findobj(Text):
        if text.get_text():  # a tick has none yet
            text.set_parse_math(r'\math' in text.get_text())  # of log axes
        text.set_fontfamily([*text.get_fontfamily(), *fonts])
    with open_whole(path) as file:
        figure.savefig(
            file,
            format='png',
            dpi=DPI,
            facecolor='white',
            # The version of matplotlib would change the file.
            metadata={'Software': None},
        )
    return path
