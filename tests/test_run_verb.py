"""Streams, errors and exit codes of every verb."""

import io
import logging
import os
import sys
import warnings
from pathlib import Path

import pytest
from mmengine.logging import MMLogger
from torch.utils.data import DataLoader

from vptm_mm.datasets import LoadCheckedImage
from vptm_mm.run_verb import guarded
from vptm_mm.visualization.images import open_split

from .verbs.vptm import vptm


def restore_handlers(monkeypatch):
    """Let the log go elsewhere in this test only."""
    for handler in MMLogger.get_current_instance().handlers:
        if type(handler) is logging.StreamHandler:  # not a file of a run
            monkeypatch.setattr(handler, 'stream', sys.stdout)
            monkeypatch.setattr(handler, 'level', logging.INFO)


@pytest.fixture
def run(monkeypatch):
    """Run at a console of few characters; return exit code and streams."""

    def _run(main):
        raw = [io.BytesIO(), io.BytesIO()]
        # In the test itself: pytest sets the streams after fixtures.
        for name, content in zip(('stdout', 'stderr'), raw, strict=True):
            stream = io.TextIOWrapper(content, 'cp1252', write_through=True)
            monkeypatch.setattr(sys, name, stream)
        MMLogger.get_current_instance().setLevel('INFO')
        restore_handlers(monkeypatch)
        return guarded(main), *(content.getvalue() for content in raw)

    return _run


def test_results_and_log_part(run):
    def main():
        MMLogger.get_current_instance().info('reading ✓')
        print('熊猫, café')

    code, out, err = run(main)
    assert code == 0
    assert out == b'\\u718a\\u732b, caf\xe9\n'
    assert b'reading \\u2713' in err


def test_a_warning_of_the_host_is_left_out(run):
    def main():
        for module in ('torch.functional', 'mine'):
            warnings.warn_explicit(text, UserWarning, 'file.py', 1, module)

    text = 'torch.meshgrid: in an upcoming release'
    with pytest.warns(UserWarning, match=text) as caught:
        assert run(main) == (0, b'', b'')
    assert len(caught) == 1


def test_a_finding_is_no_error(run):
    assert run(lambda: 1) == (1, b'', b'')


def refused_by_the_package():
    open_split({}, 'test')


def refused_by_the_system():
    Path('gone.jpg').read_bytes()


def refused_by_a_worker():
    """As the folder that a loader reads has a damaged image."""

    class Images:
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return LoadCheckedImage()(dict(img_path=__file__))

    next(iter(DataLoader(Images(), num_workers=1)))


def test_an_error_of_a_worker_is_one_line(run):
    code, _, err = run(refused_by_a_worker)
    assert code == 2
    (line,) = err.decode().splitlines()
    assert line.startswith(f'ImageFileError: {__file__}: the file (')


@pytest.mark.parametrize(
    'main', [refused_by_the_package, refused_by_the_system]
)
def test_what_users_do_wrong_is_one_line(run, main, monkeypatch):
    code, _, err = run(main)
    assert code == 2
    (line,) = err.decode().splitlines()
    assert line.startswith(
        ('ValueError: the config has no', 'FileNotFoundError: ')
    )
    monkeypatch.setenv('VPTM_DEBUG', '1')
    code, _, err = run(main)
    assert code == 2
    assert b'Traceback' in err


def test_an_extra_that_is_missing(run, monkeypatch):
    """Said before a task is read."""
    monkeypatch.setitem(sys.modules, 'gradio', None)
    monkeypatch.setenv('GRADIO_ANALYTICS_ENABLED', 'False')
    code, _, err = run(lambda: vptm('demo', '--task', 'gone'))
    assert code == 2
    assert b"pip install 'vptm_mm[demo]'" in err


def test_a_fault_of_ours_has_a_traceback(run):
    code, _, err = run(lambda: {}['gone'])
    assert code == 2
    assert b'Traceback' in err


def test_ctrl_c_has_no_traceback(run):
    def main():
        raise KeyboardInterrupt

    assert run(main) == (130, b'', b'')


def test_a_reader_that_has_enough(monkeypatch, capfd):
    """As ``vptm configs | head -1``: no traceback, now or at the end."""
    restore_handlers(monkeypatch)
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, 'w') as stdout:
        monkeypatch.setattr(sys, 'stdout', stdout)
        assert guarded(lambda: print('one line')) == 141
    assert capfd.readouterr().err == ''
