"""tools/task.py and tools/test.py with task files, as a user runs them."""

import json

import numpy as np
import pytest
import torch
from mmpretrain import ImageClassificationInferencer

from vptm_mm.checkpoints import classifier_of, load_file, read_task, write_task
from vptm_mm.checkpoints.checkpoint_file import fetch
from vptm_mm.datasets import SklearnDigits
from vptm_mm.models import VPTMTaskPool

from .test_tools import DIGITS, SMALL, fails, run

TASK = 'run/vptm_beitv2-tiny_digits.task.safetensors'


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A one-epoch run; its folder."""
    cwd = tmp_path_factory.mktemp('elsewhere')
    run(
        'train.py',
        DIGITS,
        *('--work-dir', 'run', '--cfg-options', *SMALL),
        'train_cfg.max_epochs=1',
        cwd=cwd,
    )
    return cwd


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


def test_a_second_task_joins_a_running_pool(trained):
    packaged = 'vptm_mm://vptm_beitv2-tiny_digits.safetensors'
    pool = VPTMTaskPool.from_files({'first': fetch(packaged)})
    dataset = SklearnDigits(split='test', indices=20)
    images = [dataset.get_data_info(i)['img'] for i in range(20)]
    before = pool.predict(images, 'first')
    pool.add(trained / TASK, 'second')
    mixed = pool.predict(images, ['first', 'second'] * 10)
    for i in range(0, 20, 2):
        np.testing.assert_allclose(
            mixed[i]['first']['pred_scores'],
            before[i]['first']['pred_scores'],
            atol=1e-5,
        )
    model = classifier_of(read_task(trained / TASK))
    expected = ImageClassificationInferencer(model)(images, batch_size=20)
    for i in range(1, 20, 2):
        np.testing.assert_allclose(
            mixed[i]['second']['pred_scores'],
            expected[i]['pred_scores'],
            atol=1e-5,
        )


def test_there_and_back_again(trained):
    best = next((trained / 'run').glob('best_*.pth'))
    first = run(
        'task.py',
        *('export', best, '--config', DIGITS, '--out', 'a.safetensors'),
        *('--cfg-options', 'model.backbone.prompt_length=2'),
        cwd=trained,
    )
    assert 'a.safetensors: ' in first.stdout
    assert (trained / 'a.safetensors').stat().st_size < 90_000
    ours, theirs = (
        read_task(trained / name) for name in ('a.safetensors', TASK)
    )
    assert ours.frozen_sha256 == theirs.frozen_sha256
    for name, tensor in theirs.tensors.items():
        assert torch.equal(ours.tensors[name], tensor), name

    run('task.py', 'export', 'a.safetensors', '--out', 'b.pth', cwd=trained)
    back = load_file(trained / 'b.pth')['state_dict']
    whole = load_file(best)['state_dict']
    for name, tensor in whole.items():
        assert torch.equal(back[name], tensor), name
    images = torch.rand(2, 3, 32, 32)
    model = classifier_of(ours)
    expected = model(images)
    model.load_state_dict(whole, strict=False)
    assert torch.equal(model(images), expected)


def test_info_and_check(trained):
    shown = run('task.py', 'info', TASK, cwd=trained).stdout
    for text in ('10: 0, 1, 2', 'prompt_length=2', 'vptm_mm://beitv2-tiny'):
        assert text in shown
    task = read_task(trained / TASK)
    assert task.frozen_sha256 in shown
    checked = run('task.py', 'check', TASK, cwd=trained)
    assert 'fits its backbone' in checked.stdout


def test_errors(trained):
    whole = (trained / TASK).read_bytes()
    (trained / 'cut.safetensors').write_bytes(whole[:500])
    task = read_task(trained / TASK)
    foreign = vars(task) | dict(frozen_sha256='0' * 64)
    write_task(type(task)(**foreign), trained / 'foreign.safetensors')
    best = next((trained / 'run').glob('best_*.pth'))
    for args, message in (
        (('info', 'gone.safetensors'), 'no task file at'),
        (('info', 'cut.safetensors'), 'is cut short, damaged'),
        (('check', 'foreign.safetensors'), 'on frozen tensors of sha256 000'),
        (('export', best, '--out', 'x.safetensors'), '--config is needed'),
        (
            ('export', TASK, '--out', 'y.safetensors'),
            'must not end in .safetensors',
        ),
        (('export', best, '--out', 'no/x.safetensors'), 'no folder'),
    ):
        assert message in fails('task.py', *args, cwd=trained), args
    for name, message in (
        ('cut', 'is cut short, damaged'),
        ('foreign', 'on frozen tensors of sha256 000'),
    ):
        error = fails(
            'test.py',
            DIGITS,
            f'{name}.safetensors',
            *('--cfg-options', *SMALL),
            cwd=trained,
        )
        assert message in error
    error = fails('test.py', DIGITS, TASK, cwd=trained)
    assert '! backbone.prompt_tokens.prompts: (1, 2, 128) in' in error
