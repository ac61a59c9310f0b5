"""Files of pictures."""

import pytest
from matplotlib.figure import Figure
from PIL import Image

from vptm_mm.visualization import style
from vptm_mm.visualization.style import write_png


def test_the_same_figure_gives_the_same_file(tmp_path):
    for name in ('one', 'two'):
        figure = Figure(figsize=(2, 1))
        figure.subplots().plot([1, 2])
        path = write_png(figure, tmp_path / 'new' / f'{name}.png')
        with Image.open(path) as image:
            assert image.size == (220, 110)
    folder = tmp_path / 'new'
    one, two = (folder / 'one.png', folder / 'two.png')
    assert one.read_bytes() == two.read_bytes()


def written(folder, name):
    figure = Figure(figsize=(2, 1))
    figure.text(0.1, 0.1, name)
    return write_png(figure, folder / 'name.png').read_bytes()


def test_a_character_that_the_default_font_lacks(tmp_path, monkeypatch):
    """Another installed font shows it; matplotlib brings one that has it."""
    monkeypatch.setattr(style, 'FONTS', ('not installed', 'STIXGeneral'))
    shown = written(tmp_path, '⍼')
    monkeypatch.setattr(style, 'FONTS', ())
    with pytest.warns(UserWarning, match='Glyph .* missing from'):
        assert written(tmp_path, '⍼') != shown


def test_powers_at_a_log_axis_are_formulas(tmp_path):
    figure = Figure(figsize=(4, 3))
    axes = figure.subplots()
    axes.plot([1, 1e6], [1, 2])
    axes.set_xscale('log')
    write_png(figure, tmp_path / 'log.png')
    powers = [t for t in axes.get_xticklabels() if '10^' in t.get_text()]
    assert powers
    assert all(text.get_parse_math() for text in powers)


def test_a_dollar_begins_no_formula(tmp_path):
    assert written(tmp_path, '$5 or $6')
    assert written(tmp_path, r'$\frac$')
