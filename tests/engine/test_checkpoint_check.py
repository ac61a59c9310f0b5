"""Checkpoints, tasks and heads that do not fit the run are refused."""

import dataclasses

import pytest
import torch

from vptm_mm.datasets import SklearnDigits
from vptm_mm.engine import (
    CheckpointCheckHook,
)
from vptm_mm.tasks import read_task, write_task

from .made_digits import TASK, digits_runner, read_log


def test_a_wrong_checkpoint_is_refused(tmp_path):
    runner = digits_runner(tmp_path)
    state = dict(runner.model.state_dict())
    state['head.extra'] = torch.zeros(1)
    del state['head.verbalizer.prototypes']
    state['backbone.prompt_tokens.prompts'] = torch.zeros(1, 3, 128)
    state['data_preprocessor.mean'] = torch.zeros(3)
    state = {f'module.{name}': tensor for name, tensor in state.items()}
    with pytest.raises(ValueError, match='does not fit the model') as error:
        CheckpointCheckHook().after_load_checkpoint(
            runner, dict(state_dict=state)
        )
    text = str(error.value)
    assert '- head.verbalizer.prototypes' in text
    assert '+ head.extra' in text
    assert (
        '! backbone.prompt_tokens.prompts: (1, 3, 128) in the file, '
        '(1, 2, 128) in the model' in text
    )
    assert text.count('\n') == 4


@pytest.mark.parametrize(('run', 'split'), [('train', 'train'), ('test',) * 2])
def test_a_head_with_other_classes_is_refused(tmp_path, run, split):
    options = {'model.head.num_classes': 12}
    text = f'num_classes=12, and the {split} data set 10 classes; make them'
    with pytest.raises(ValueError, match=text):
        getattr(digits_runner(tmp_path, **options), run)()


def test_images_of_other_names_are_refused_before_training(tmp_path):
    names = dict(classes=tuple('0123456798'))
    runner = digits_runner(
        tmp_path, **{'val_dataloader.dataset.metainfo': names}
    )
    text = "class 8 is '8' in the train data set and '9' in the val d"
    with pytest.raises(ValueError, match=text):
        runner.train()
    assert runner.iter == 0


def test_images_of_other_classes_are_refused_before_training(tmp_path):
    names = dict(classes=tuple('abc'))
    runner = digits_runner(
        tmp_path, **{'test_dataloader.dataset.metainfo': names}
    )
    with pytest.raises(ValueError, match='and the test data set 3 class'):
        runner.train()
    assert runner.iter == 0


def test_a_head_on_images_without_class_names(tmp_path, monkeypatch):
    monkeypatch.setattr(SklearnDigits, 'METAINFO', {})
    runner = digits_runner(tmp_path, **{'model.head.num_classes': 12})
    runner.train()
    assert runner.iter == 2


def test_a_task_with_other_class_names_is_refused(tmp_path, finished):
    task, path = read_task(finished / TASK), tmp_path / TASK
    names = ('zero', *'123456789')
    write_task(dataclasses.replace(task, classes=names), path)
    runner = digits_runner(tmp_path / 'second', load_from=str(path))
    with pytest.raises(ValueError, match="class 0 is 'zero' in the task and "):
        runner.test()


def test_a_run_starts_from_the_prompts_of_other_classes(tmp_path, finished):
    """Of another number, too."""
    path = finished / TASK
    names = dict(classes=tuple('abcdefghijkl'))
    runner = digits_runner(
        tmp_path / 'second',
        **{
            'load_from': str(path),
            'model.head.num_classes': 12,
            'model.head.prototype_init': 'class_mean',
            'optim_wrapper.optimizer.lr': 0.0,
            **{
                f'{split}_dataloader.dataset.metainfo': names
                for split in ('train', 'val', 'test')
            },
        },
    )
    runner.train()
    log = read_log(tmp_path / 'second')
    assert 'The task has 10 classes, the training images 12' in log
    assert 'as prompts, is taken; the classes start afresh.' in log
    assert 'Prototypes: means of 64 images' in log
    state = runner.model.state_dict()
    for name, tensor in read_task(path).tensors.items():
        is_taken = not name.endswith('prototypes')
        assert torch.equal(state[name], tensor) == is_taken, name
    assert state['head.verbalizer.prototypes'].shape == (12, 128)
