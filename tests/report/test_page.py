"""The page: one file, escaped, readable whatever is missing."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from mmengine.config import Config

from vptm_mm.report.curves import plot_panels
from vptm_mm.report.page import make_page
from vptm_mm.report.run_folder import RunFolder, read_run

from .made_run import PIXEL, RECORD, make_run, make_tested
from .page_reader import require_alone

RUN = Path('run')


def test_a_whole_run(tmp_path):
    run = read_run(make_run(tmp_path / 'my <run> & more'))
    tested = make_tested(names=RECORD['classes'])
    page = make_page(run, Config.fromfile(run.config), tested)
    reader = require_alone(page)
    text = reader.text
    for said in (
        'Run my <run> & more',
        'test top-1',
        '62.50 %',
        '10.00 % best validation top-1, iteration 10',
        "python tools/train.py 'a <b> config.py'",
        'a <device>',
        '136 of 13,600 parameters (1.000%) are trainable.',
        'prompt length 7',
        'learning rate 0.25',
        'commit of vptm_mm 0123456789ab',
        'is a & b taken for "c"',
        'a & b taken for "c": 1 of 4',
        '4.jpg',
        '11 of 12 test images right',
        'note = \'<b>"quoted" & bold</b>\'',
        '<script>alert(1)</script>',
    ):
        assert said in text, said
    assert reader.count('script') == 0
    assert reader.count('b') == 5  # the cards of the summary
    assert reader.count('img', src=PIXEL) == 1
    for name in RECORD['classes']:  # two of the matrix, one of the bars
        assert reader.count('th', title=name) == 3
    assert reader.count('td', title='a & b taken for "c": 1') == 1
    links = [values['href'] for tag, values in reader.tags if tag == 'a']
    parts = [v['id'] for tag, v in reader.tags if tag == 'section']
    assert len(parts) == 9
    assert links == [f'#{part}' for part in parts]
    titles = [v['aria-label'] for tag, v in reader.tags if tag == 'svg']
    assert titles == ['Loss', 'Accuracy', 'Learning rate', 'Gradient']
    # Dark and light, narrow and wide.
    assert 'prefers-color-scheme: dark' in page
    assert 'width=device-width' in page


def test_an_empty_run():
    """Nothing but a folder: each part says that it is missing."""
    reader = require_alone(
        make_page(
            RunFolder(folder=RUN, sessions=[RUN]),
            None,
            None,
            'No predictions: <gone>',
        )
    )
    for said in (
        'Nothing yet.',
        'No predictions: <gone>',
        'No curves: no iteration was logged.',
        'No test result is in the work dir.',
        'Not recorded: no run.json.',
        'The work dir has no config.',
    ):
        assert said in reader.text, said
    assert reader.count('img') == reader.count('svg') == 0


@pytest.mark.parametrize('num_classes', [20, 40, 1000])
def test_many_classes_stay_readable(num_classes):
    tested = make_tested(num_classes)
    run = RunFolder(folder=RUN, sessions=[RUN])
    page = make_page(run, None, tested)
    reader = require_alone(page)
    rows = page.split('class="heat')[1].split('</table>')[0].count('<tr>')
    assert rows == min(num_classes, 40) + 1
    assert ('classes with the most errors' in reader.text) == (
        num_classes == 1000
    )
    counts = re.findall(r'>(\d+)</td>', page)
    assert bool(counts) == (num_classes == 20)
    # Each class has its accuracy; most of 1000 are folded.
    table = page.split('id="classes"')[1].split('</section>')[0]
    assert table.count('class="bar"') == num_classes
    assert (f'{num_classes - 20} more' in reader.text) == (num_classes > 20)
    assert len(page) < 1_000_000


def test_no_mistakes():
    tested = make_tested(2)
    tested = replace(tested, predicted=tested.labels, mistakes=[])
    run = RunFolder(folder=RUN, sessions=[RUN])
    text = require_alone(make_page(run, None, tested)).text
    assert text.count('No mistakes.') == 2
    assert '100.00 % test top-1' in text


def test_curves():
    many = [(i, 1 / i) for i in range(1, 500)]
    scalars = {
        'loss': many,
        'tuning/prompt_norm': many,
        'tuning/prototype_norm': many[:1],
        'unknown': many,
    }
    panels = dict(plot_panels(scalars))
    assert list(panels) == ['Loss', 'Norms']
    for svg in panels.values():
        assert svg.startswith('<svg role="img" aria-label=')
        assert 'currentColor' in svg
        assert 'var(--curve-1)' in svg
        assert '#1f2933' not in svg
    assert '>prototypes<' in panels['Norms']
