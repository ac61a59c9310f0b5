"""Files of pictures."""

import warnings
from types import SimpleNamespace

from matplotlib.figure import Figure
from mmengine.logging import MMLogger
from PIL import Image

from vptm_mm.visualization import style, write_png


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
    shown = written(tmp_path, '⍼')
    monkeypatch.setattr(style, 'find_families', lambda characters: [])
    assert written(tmp_path, '⍼') != shown


def test_a_character_that_no_font_has_is_named_once(tmp_path, monkeypatch):
    logger, said = MMLogger.get_current_instance(), []
    monkeypatch.setattr(logger, 'warning', said.append)
    style.find_families.cache_clear()
    monkeypatch.setattr(style, 'fontManager', SimpleNamespace(ttflist=[]))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for name in ('한국', '국한'):
            written(tmp_path, name)
    (line,) = said
    assert line.startswith('No installed font has 국한: pictures show boxes')


def test_a_dollar_begins_no_formula(tmp_path):
    assert written(tmp_path, '$5 or $6')
    assert written(tmp_path, r'$\frac$')
