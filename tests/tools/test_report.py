"""The page of a run as a user makes it."""

import json

import pytest

from ..report.page_reader import require_alone
from .test_tools import DIGITS, SMALL, run
from .vptm import vptm


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    cwd = tmp_path_factory.mktemp('elsewhere')
    options = ('--cfg-options', *SMALL, 'train_cfg.max_epochs=1')
    run('train.py', DIGITS, '--work-dir', 'a run', *options, cwd=cwd)
    return cwd


@pytest.fixture
def report(trained, monkeypatch, capsys):
    """Run the tool in this process; return what it says of problems."""

    def _report(*options):
        monkeypatch.chdir(trained)
        vptm('report', *options)
        return capsys.readouterr().err

    return _report


def right_of_64(folder) -> int:
    end = json.loads((folder / 'test_results.json').read_text())
    return round(0.64 * end['metrics']['accuracy/top1'])


def test_as_a_user_runs_it(trained):
    """Predicts, keeps the predictions, and finds the same accuracy."""
    folder = trained / 'a run'
    result = run('report.py', 'a run', cwd=trained)
    assert 'wrote a run/report.html' in result.stdout
    page = (folder / 'report.html').read_text(encoding='utf-8')
    reader = require_alone(page)
    right = right_of_64(folder)
    assert f'{100 * right / 64:.2f} % test top-1' in reader.text
    assert f'{right} of 64 test images right' in reader.text
    assert 'tools/train.py' in reader.text
    assert '17,920 of 1,' in reader.text
    assert reader.count('img') == min(24, 64 - right)
    assert (folder / 'test_predictions.npz').is_file()


def test_files_that_are_gone(trained, report):
    """What was kept is shown; what is missing is said."""
    folder = trained / 'a run'
    if not (folder / 'test_predictions.npz').is_file():
        report('a run')
    right = right_of_64(folder)
    for path in (*folder.glob('*.pth'), *folder.glob('*.safetensors')):
        path.unlink()
    options = ('--out', 'pages/page.html', '--mistakes', '3', '--no-predict')
    assert report('a run', *options) == ''
    page = (trained / 'pages' / 'page.html').read_text(encoding='utf-8')
    reader = require_alone(page)
    assert f'{right} of 64 test images right' in reader.text
    assert reader.count('img') == 3
    # The test set is gone.
    (config,) = folder.glob('*/vis_data/config.py')
    config.write_text(
        config.read_text() + "\ntest_dataloader['dataset'] = dict(type='CUB', "
        "data_root='gone', split='test', pipeline=[])\n"
    )
    said = report('a run')
    assert 'No images: CUB: no ' in said
    page = (folder / 'report.html').read_text(encoding='utf-8')
    reader = require_alone(page)
    assert 'No images: CUB: no ' in reader.text
    assert reader.count('img') == 0
    assert reader.text.count('no image') == min(24, 64 - right)
    # Nothing is left to predict with.
    (folder / 'test_predictions.npz').unlink()
    said = report('a run')
    assert 'No predictions: the work dir has no checkpoint.' in said
    page = (folder / 'report.html').read_text(encoding='utf-8')
    assert 'the work dir has no checkpoint' in require_alone(page).text


def test_what_is_refused(trained, report):
    with pytest.raises(FileNotFoundError, match=f'no folder at {trained}/g'):
        report('gone')
    with pytest.raises(FileNotFoundError, match='no checkpoint at .*gone.pth'):
        report('a run', '--checkpoint', 'gone.pth')
