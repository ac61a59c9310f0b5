"""Task files: the round trip to the bit, and every refusal."""

import dataclasses
import json
import os
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from vptm_mm import __version__
from vptm_mm.tasks import (
    find_task_file,
    name_and_path,
    read_task,
    task_file_name,
    write_task,
)
from vptm_mm.tasks import task as tasks
from vptm_mm.weights.checkpoint_file import TASK_KEY

from ..fuzzing import fuzz
from ..made_tasks import make_classifier, task_of


@pytest.fixture(scope='module')
def task(checkpoint):
    return task_of(make_classifier(checkpoint))


@pytest.fixture
def path(task, tmp_path):
    path = tmp_path / 'task.safetensors'
    write_task(task, path)
    return path


def rewrite(path, **changes):
    """The same file with other metadata, and the digest that they have."""
    with safe_open(path, framework='pt') as file:
        content = json.loads(file.metadata()[TASK_KEY])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del content['sha256']
    content.update(changes)
    if 'sha256' not in changes:
        content['sha256'] = tasks._sha256(json.dumps(content), tensors)
    save_file(tensors, path, {TASK_KEY: json.dumps(content)})


def test_the_order_of_keys_is_nothing(task):
    turned = {
        name: dict(reversed(getattr(task, name).items()))
        for name in ('backbone', 'head', 'data_preprocessor')
    }
    assert list(turned['head']) != list(task.head)
    assert dataclasses.replace(task, **turned).sha256 == task.sha256


def test_round_trip(task, path, tmp_path):
    again = read_task(path)
    assert set(again.tensors) == {
        'backbone.prompt_tokens.prompts',
        'head.verbalizer.projection.weight',
        'head.verbalizer.prototypes',
        'head.verbalizer.log_temperature',
    }
    for name, tensor in task.tensors.items():
        assert torch.equal(tensor, again.tensors[name]), name
    for field in dataclasses.fields(task):
        if field.name not in ('tensors', 'path'):
            ours, theirs = (getattr(t, field.name) for t in (task, again))
            ours, theirs = (
                json.dumps(one, sort_keys=True) for one in (ours, theirs)
            )
            assert ours == theirs, field.name
    assert again.version == __version__
    assert again.num_bytes == 4 * (10 * 16 + 8 * 16 + 5 * 8 + 1)
    assert again.sha256 == task.sha256
    write_task(again, tmp_path / 'again.safetensors')
    assert (tmp_path / 'again.safetensors').read_bytes() == path.read_bytes()
    assert not list(tmp_path.glob('*.part'))


def test_config_values_that_json_has_no_word_for(task, tmp_path):
    backbone = dict(task.backbone, prompt_blocks=range(3))
    path = tmp_path / 'x.safetensors'
    write_task(dataclasses.replace(task, backbone=backbone), path)
    read = read_task(path).backbone
    assert read['prompt_blocks'] == [0, 1, 2]
    head = dict(task.head, x=torch.tensor(1))
    with pytest.raises(ValueError, match=r'cannot hold tensor\(1\) \(Tensor'):
        write_task(dataclasses.replace(task, head=head), path)
    # What was there is still there.
    assert read_task(path).backbone == read


def test_a_missing_or_misnamed_file(task, tmp_path):
    with pytest.raises(FileNotFoundError, match='no task file at .*nothing'):
        read_task(tmp_path / 'nothing.safetensors')
    with pytest.raises(ValueError, match=r'x\.pth must end in \.safetensors'):
        write_task(task, tmp_path / 'x.pth')


@pytest.mark.parametrize('kept', [0, 4, 100, -1])
def test_a_file_cut_short(path, kept):
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match='bytes, .* is not a readable'):
        read_task(path)


def test_other_files(path):
    save_file({'x': torch.ones(1)}, path)
    with pytest.raises(ValueError, match='tensors, but is not a task file'):
        read_task(path)
    torch.save({'x': torch.ones(1)}, path)
    with pytest.raises(ValueError, match='is not a readable checkpoint'):
        read_task(path)
    # A header that promises more than there is, before memory is taken.
    header = json.dumps(
        {'x': dict(dtype='F32', shape=[2**40], data_offsets=[0, 2**42])}
    ).encode()
    path.write_bytes(struct.pack('<Q', len(header)) + header)
    with pytest.raises(ValueError, match='is not a readable checkpoint'):
        read_task(path)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(format_version=2), 'format version 2, and vptm_mm .* reads 1'),
        (dict(model='x'), 'it does not hold what write_task writes'),
        (dict(model={}), 'it does not hold what write_task writes'),
        (dict(classes=None), 'it does not hold what write_task writes'),
        (dict(pipeline={}), 'the pipeline of the task must be .*list.*: {}'),
        (dict(version=None), 'the version of the task must be .*str.*: None'),
        (dict(frozen_sha256='12'), "'12' is not a sha256"),
        (dict(sha256='0' * 64), 'it is damaged: its sha256 is'),
        (dict(classes=['a', 'b']), 'num_classes=5, and it names 2 classes'),
    ],
)
def test_damaged_metadata(path, changes, message):
    rewrite(path, **changes)
    with pytest.raises(ValueError, match=message):
        read_task(path)


@pytest.mark.parametrize('text', ['{', '[]', '[' * 100_000, ''])
def test_metadata_that_are_not_an_object(path, text):
    save_file({'x': torch.ones(1)}, path, {TASK_KEY: text})
    with pytest.raises(ValueError, match='task.safetensors is not a usable'):
        read_task(path)


def test_files_of_before_hold_what_only_training_reads(task, path):
    augments = dict(augments=dict(type='Mixup', alpha=0.8))
    init_cfg = dict(type='Pretrained', checkpoint=task.weights)
    rewrite(
        path,
        model=dict(
            type='ImageClassifier',
            backbone=dict(task.backbone, init_cfg=init_cfg),
            head=dict(task.head, loss=dict(type='LabelSmoothLoss')),
            train_cfg=augments,
        ),
        data_preprocessor=dict(
            task.data_preprocessor, num_classes=5, batch_augments=augments
        ),
    )
    again = read_task(path)
    assert (again.backbone, again.head) == (task.backbone, task.head)
    assert again.weights == task.weights
    assert 'batch_augments' not in again.data_preprocessor
    rewrite(path, model=dict(backbone={}, head={}, neck=dict(type='x')))
    with pytest.raises(ValueError, match='it has a neck, which no task has'):
        read_task(path)


@fuzz(25)
@given(data=st.data())
def test_any_changed_byte_is_noticed_or_a_blank(data, task, tmp_path_factory):
    path = tmp_path_factory.mktemp('fuzz') / 'task.safetensors'
    write_task(task, path)
    whole = path.read_bytes()
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        index = data.draw(st.integers(0, len(content) - 1))
        content[index] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        task = read_task(path)
    except ValueError as error:
        message = str(error)
        assert 'task.safetensors' in message  # noqa: PT017
        return
    # Only blanks behind the header can change and mean nothing.
    write_task(task, path)
    assert path.read_bytes() == whole


def test_names_of_files(tmp_path):
    """Of runs, and of tasks: ``NAME=FILE``, or the file's own."""
    assert task_file_name('configs/vptm_cub.py') == 'vptm_cub.task.safetensors'
    assert task_file_name(None) == 'task.safetensors'
    assert find_task_file(tmp_path) is None
    for name in ('task.safetensors', 'vptm_cub.task.safetensors'):
        (tmp_path / name).touch()
        assert find_task_file(tmp_path).name == name
    # A copy of an older work dir that was resumed.
    os.utime(tmp_path / name, (1, 1))
    assert find_task_file(tmp_path).name == name
    path = tmp_path / 'vptm_cub.task.safetensors'
    odd = tmp_path / 'lr=0.1.safetensors'
    odd.touch()
    for text, expected in (
        (path, ('vptm_cub', path)),
        (f'birds={path}', ('birds', path)),
        ('a=b=c.safetensors', ('a', Path('b=c.safetensors'))),
        (odd, ('lr=0.1', odd)),
    ):
        assert name_and_path(text) == expected
    packaged = 'vptm_mm://vptm_beitv2-tiny_digits.safetensors'
    name, path = name_and_path(f'digits={packaged}')
    assert name == 'digits'
    assert read_task(path).classes == tuple('0123456789')
