"""tools/task.py and tools/test.py with task files, as a user runs them."""

import dataclasses
import json

import pytest
import torch

from vptm_mm.tasks import load_classifier, read_task, write_task
from vptm_mm.weights import load_file

from ..engine.made_digits import digits_runner
from .test_tools import DIGITS, SMALL, run
from .vptm import vptm

TASK = 'run/vptm_beitv2-tiny_digits.task.safetensors'


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A one-epoch run; its folder."""
    cwd = tmp_path_factory.mktemp('elsewhere')
    options = {'test_dataloader.dataset.indices': 64}
    digits_runner(cwd / 'run', **options).train()
    return cwd


@pytest.fixture
def task_tool(trained, monkeypatch, capsys):
    """tools/task.py in this process; it returns what was printed."""
    monkeypatch.chdir(trained)

    def call(*args):
        capsys.readouterr()
        vptm('task', *args)
        return capsys.readouterr().out

    return call


def test_test_takes_a_task_file(trained):
    """The same accuracy as the end of training, to the digit."""
    options = ('--out-item', 'metrics', '--cfg-options', *SMALL)
    run(
        'test.py',
        DIGITS,
        TASK,
        *('--work-dir', 'tested', '--out', 'task.json', *options),
        cwd=trained,
    )
    end = json.loads((trained / 'run' / 'test_results.json').read_text())
    assert json.loads((trained / 'task.json').read_text()) == end['metrics']


def test_there_and_back_again(trained, task_tool):
    best = next((trained / 'run').glob('best_*.pth'))
    first = task_tool(
        *('export', best, '--config', DIGITS, '--out', 'a.safetensors'),
        *('--cfg-options', 'model.backbone.prompt_length=2'),
    )
    assert 'a.safetensors: ' in first
    assert (trained / 'a.safetensors').stat().st_size < 90_000
    ours, theirs = (
        read_task(trained / name) for name in ('a.safetensors', TASK)
    )
    assert ours.frozen_sha256 == theirs.frozen_sha256
    for name, tensor in theirs.tensors.items():
        assert torch.equal(ours.tensors[name], tensor), name

    task_tool('export', best, '--out', 'c.safetensors')
    assert read_task(trained / 'c.safetensors').backbone == theirs.backbone

    task_tool('export', 'a.safetensors', '--out', 'b.pth')
    back = load_file(trained / 'b.pth')['state_dict']
    whole = load_file(best)['state_dict']
    for name, tensor in whole.items():
        assert torch.equal(back[name], tensor), name
    images = torch.rand(2, 3, 32, 32)
    model = load_classifier(ours)
    expected = model(images)
    model.load_state_dict(whole, strict=False)
    assert torch.equal(model(images), expected)


def test_info_and_check(trained, task_tool):
    shown = task_tool('info', TASK)
    for text in ('10: 0, 1, 2', 'prompt_length=2', 'vptm_mm://beitv2-tiny'):
        assert text in shown
    assert read_task(trained / TASK).frozen_sha256 in shown
    checked = task_tool('check', f'digits={TASK}')
    assert f'digits ({TASK}) fits its backbone' in checked


def test_errors(trained, task_tool):
    whole = (trained / TASK).read_bytes()
    (trained / 'cut.safetensors').write_bytes(whole[:500])
    task = read_task(trained / TASK)
    foreign = dataclasses.replace(task, frozen_sha256='0' * 64)
    write_task(foreign, trained / 'foreign.safetensors')
    for args, message in (
        (('info', 'gone.safetensors'), 'no task file at'),
        (('info', 'cut.safetensors'), 'is cut short, damaged'),
        (('check', 'foreign.safetensors'), 'on frozen tensors of sha256 000'),
        (('export', 'best.pth', '--out', 'x.safetensors'), 'no config beside'),
        (
            ('export', TASK, '--out', 'y.safetensors'),
            'must not end in .safetensors',
        ),
        (('export', TASK, '--out', 'no/x.pth'), 'no folder'),
    ):
        with pytest.raises((OSError, ValueError), match=message):
            task_tool(*args)
