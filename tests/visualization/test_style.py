"""Files of pictures."""

from matplotlib.figure import Figure
from PIL import Image

from vptm_mm.visualization import write_png


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
