"""The page of a run as a user makes it."""

import json
import os

import pytest

from ..report.page_reader import require_alone
from .test_tools import DIGITS, SMALL, fails, run


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    cwd = tmp_path_factory.mktemp('elsewhere')
    options = ('--cfg-options', *SMALL, 'train_cfg.max_epochs=1')
    run('train.py', DIGITS, '--work-dir', 'a run', *options, cwd=cwd)
    return cwd


def test_report_of_a_run(trained):
    """Predicts, keeps the predictions, and finds the same accuracy."""
    folder = trained / 'a run'
    result = run('report.py', 'a run', cwd=trained)
    assert 'wrote a run/report.html' in result.stdout
    page = (folder / 'report.html').read_text(encoding='utf-8')
    reader = require_alone(page)
    end = json.loads((folder / 'test_results.json').read_text())
    accuracy = end['metrics']['accuracy/top1']
    right = round(0.64 * accuracy)
    assert f'{accuracy:.2f} % test top-1' in reader.text
    assert f'{right} of 64 test images right' in reader.text
    assert 'tools/train.py' in reader.text
    assert '17,920 of 1,' in reader.text
    assert reader.count('img') == min(24, 64 - right)
    assert (folder / 'test_predictions.npz').is_file()

    # The checkpoints are gone: what was kept is still shown.
    for path in folder.glob('*.pth'):
        path.unlink()
    (folder / 'task.safetensors').unlink()
    out = ('--out', 'pages/page.html', '--mistakes', '3', '--no-predict')
    run('report.py', 'a run', *out, cwd=trained)
    reader = require_alone((trained / 'pages' / 'page.html').read_text())
    assert f'{right} of 64 test images right' in reader.text
    assert reader.count('img') == 3

    # Nothing at all is left to predict with.
    os.unlink(folder / 'test_predictions.npz')
    result = run('report.py', 'a run', cwd=trained)
    assert 'No predictions: the work dir has no checkpoint.' in result.stderr
    reader = require_alone((folder / 'report.html').read_text())
    assert 'the work dir has no checkpoint' in reader.text


def test_what_is_refused(trained):
    error = fails('report.py', 'gone', cwd=trained)
    assert f'FileNotFoundError: no folder at {trained}/gone' in error
    options = ('a run', '--checkpoint', 'gone.pth')
    error = fails('report.py', *options, cwd=trained)
    assert f'FileNotFoundError: no checkpoint at {trained}/gone.pth' in error
    error = fails('report.py', 'a run', '--mistakes', '-1', cwd=trained)
    assert 'ValueError: --mistakes=-1 must be >= 0' in error
