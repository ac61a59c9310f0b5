"""Each way in: a file's code does not run, whoever reads the file."""

import runpy
import sys
from pickle import UnpicklingError

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import checkpoint, load_checkpoint
from mmpretrain import ImageClassificationInferencer, get_model

from vptm_mm.tasks import VPTMTaskPool
from vptm_mm.weights import load_file

from ..conftest import ROOT
from ..made_hostile import Call, write_files_with_code
from ..made_images import IMAGE
from .test_tools import DIGITS, SMALL, fails

OPTIONS = ('--cfg-options', *SMALL, 'train_cfg.max_epochs=1')


@pytest.fixture
def files(tmp_path):
    IMAGE.save(tmp_path / 'image.png')
    return write_files_with_code(tmp_path, tmp_path / 'was-run')


@pytest.fixture
def tool(tmp_path, monkeypatch, capsys):
    """Run a tool in this process, which is quicker."""

    def _tool(name, *args):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, 'argv', [name, *map(str, args)])
        try:
            runpy.run_path(str(ROOT / 'tools' / name), run_name='__main__')
        except SystemExit as stop:
            if stop.code:
                raise

    return _tool


@pytest.fixture
def refuses(tool, capsys):
    """Run a tool that stops with one line, and look for a text in it."""

    def _refuses(text, *words):
        with pytest.raises(SystemExit, match='^2$'):
            tool(*words)
        assert text in capsys.readouterr().err.strip().splitlines()[-1]

    return _refuses


@pytest.mark.parametrize(
    'command',
    [
        'test.py {config} {file} {options}',
        'train.py {config} --resume {file} {options}',
        'task.py export {file} --config {config} --out x.safetensors',
        'task.py check {task} --weights {file}',
        'predict.py {image} --task {task} --weights {file}',
    ],
)
def test_tools_run_no_code(refuses, files, tmp_path, command):
    checkpoints = ROOT / 'vptm_mm' / 'checkpoints'
    command = command.format(
        config=DIGITS,
        file=files['zip'],
        options=' '.join(OPTIONS),
        task=checkpoints / 'vptm_beitv2-tiny_digits.safetensors',
        image=tmp_path / 'image.png',
    )
    refuses('--trust-checkpoint FILE', *command.split())
    assert not (tmp_path / 'was-run').exists()


@pytest.mark.parametrize(
    'command',
    [
        'test.py {config} {file} {options}',
        'task.py info {file}',
        'predict.py {image} --task {file}',
    ],
)
def test_task_files_run_no_code(refuses, files, tmp_path, command):
    for name in ('pickle_named_task', 'zip_named_task'):
        words = command.format(
            config=DIGITS,
            file=files[name],
            options=' '.join(OPTIONS),
            image=tmp_path / 'image.png',
        )
        refuses('is not a readable checkpoint', *words.split())
    assert not (tmp_path / 'was-run').exists()


@pytest.mark.skipif(
    hasattr(checkpoint, '_safe_torch_load'),
    reason='the OneDL fork warns, and runs the code',
)
def test_the_hosts_functions_run_no_code(files, tmp_path):
    cfg = Config.fromfile(DIGITS)
    for name in ('zip', 'legacy'):
        file = str(files[name])
        for read in (
            lambda file=file: get_model(cfg, pretrained=file),
            lambda file=file: ImageClassificationInferencer(
                cfg, pretrained=file
            ),
            lambda file=file: load_checkpoint(torch.nn.Identity(), file),
        ):
            with pytest.raises(UnpicklingError, match='Weights only load'):
                read()
    with pytest.raises(ValueError, match='is not a readable checkpoint'):
        VPTMTaskPool.from_files([files['pickle_named_task']])
    assert not (tmp_path / 'was-run').exists()


def hostile_config(marker) -> str:
    return f'import pathlib\npathlib.Path({str(marker)!r}).touch()\n'


def test_resuming_stops_and_runs_no_code(tmp_path):
    """As a user: --resume alone, then with the file; then a config in it."""
    files = write_files_with_code(tmp_path, tmp_path / 'was-run')
    name = 'work_dirs/vptm_beitv2-tiny_digits'
    work_dir = tmp_path / name
    work_dir.mkdir(parents=True)
    (work_dir / 'epoch_1.pth').write_bytes(files['zip'].read_bytes())
    (work_dir / 'last_checkpoint').write_text(f'{name}/epoch_1.pth')
    error = fails('train.py', DIGITS, '--resume', *OPTIONS, cwd=tmp_path)
    assert 'epoch_1.pth' in error
    assert 'holds more than tensors' in error
    assert not (tmp_path / 'was-run').exists()


def test_a_config_in_a_checkpoint_is_not_run(tool, tmp_path):
    """Resuming, mmengine runs the text under meta.config."""
    tool('train.py', DIGITS, '--work-dir', 'run', *OPTIONS)
    path = tmp_path / 'run' / 'epoch_1.pth'
    content = load_file(path)
    text = hostile_config(tmp_path / 'was-run')
    content['meta'].update(cfg=text, config=text)
    content['message_hub']['runtime_info']['cfg'] = text
    torch.save(content, path)
    more = [*OPTIONS[:-1], 'train_cfg.max_epochs=2']
    cfg = (
        '--config',
        DIGITS,
        '--cfg-options',
        'model.backbone.prompt_length=2',
    )
    tool('train.py', DIGITS, '--work-dir', 'a', '--resume', path, *more)
    tool('test.py', DIGITS, path, '--work-dir', 'b', *OPTIONS)
    tool('task.py', 'export', path, *cfg, '--out', 'x.safetensors')
    cfg = Config.fromfile(DIGITS)
    cfg.model.backbone.prompt_length = 2
    ImageClassificationInferencer(cfg, pretrained=str(path))
    assert not (tmp_path / 'was-run').exists()


class Mine:
    """A class that no checkpoint needs."""


def test_a_trusted_file_is_read_and_no_other(tool, refuses, tmp_path):
    """A checkpoint of the user's own, with an object of his class."""
    tool('train.py', DIGITS, '--work-dir', 'run', *OPTIONS)
    path = tmp_path / 'run' / 'epoch_1.pth'
    content = load_file(path)
    torch.save(dict(content, args=Mine()), path)
    command = ('test.py', DIGITS, path, *OPTIONS)
    other = tmp_path / 'other.pth'
    torch.save(dict(a=Call(print)), other)
    for trusted in ((), ('--trust-checkpoint', other)):
        refuses('test_hostile_files.Mine', *command[:3], *trusted, *OPTIONS)
    tool(*command[:3], '--trust-checkpoint', path, *OPTIONS)
    gone = ('--trust-checkpoint', 'gone.pth', *OPTIONS)
    refuses('no file to trust at ', *command[:3], *gone)
