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


def page_of(path):
    return require_alone(path.read_text(encoding='utf-8'))


def test_as_a_user_runs_it(trained, report):
    """Predicts, and finds the same accuracy."""
    folder = trained / 'a run'
    assert report('a run') == ''
    reader = page_of(folder / 'report.html')
    right = right_of_64(folder)
    assert f'{100 * right / 64:.2f} % test top-1' in reader.text
    assert f'{right} of 64 test images right' in reader.text
    assert 'tools/train.py' in reader.text
    assert '17,920 of 1,' in reader.text
    assert reader.count('img') == min(24, 64 - right)
    assert report('a run', '--out', 'pages/1.html', '--mistakes', '3') == ''
    assert page_of(trained / 'pages' / '1.html').count('img') == 3
    assert report('a run', '--no-predict') == ''
    assert 'images right' not in page_of(folder / 'report.html').text


def test_files_that_are_gone(trained, report):
    """What is missing is said, on the page and on stderr."""
    folder = trained / 'a run'
    (config,) = folder.glob('*/vis_data/config.py')
    config.write_text(
        config.read_text() + "\ntest_dataloader['dataset'] = dict(type='CUB', "
        "data_root='gone', split='test', pipeline=[])\n"
    )
    for said in 'No predictions: CUB: no ', 'the work dir has no checkpoint.':
        assert said in report('a run')
        assert said in page_of(folder / 'report.html').text
        for path in (*folder.glob('*.pth'), *folder.glob('*.safetensors')):
            path.unlink()


def test_what_is_refused(trained, report):
    with pytest.raises(FileNotFoundError, match=f'no folder at {trained}/g'):
        report('gone')
    with pytest.raises(FileNotFoundError, match='no checkpoint at .*gone.pth'):
        report('a run', '--checkpoint', 'gone.pth')
