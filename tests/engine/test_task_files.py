"""Task files and slim checkpoints of runs on the digits."""

import shutil

import pytest
import torch
from mmengine.config import Config

from vptm_mm.engine import TaskFileHook
from vptm_mm.engine.hooks.resumable_checkpoint import find_best
from vptm_mm.tasks import read_task
from vptm_mm.weights import load_file

from .made_digits import DIGITS, TASK, digits_runner, read_log, read_log_of


def test_a_task_file_of_the_best_checkpoint(finished):
    task = read_task(finished / TASK)
    best = load_file(finished / 'best_accuracy_top1_epoch_1.pth')['state_dict']
    for name, tensor in task.tensors.items():
        assert torch.equal(tensor, best[name]), name
    assert task.classes == tuple('0123456789')
    assert [t['type'] for t in task.pipeline] == ['Resize', 'PackInputs']
    assert 'Task file of best_accuracy_top1_epoch_1.pth' in read_log(finished)


def test_slim_checkpoints_resume_like_whole_ones(tmp_path, finished):
    shutil.copytree(finished, tmp_path / 'whole')
    slim = {'default_hooks.task_file.slim_checkpoints': True}
    digits_runner(tmp_path / 'slim', **slim).train()
    assert (tmp_path / 'slim' / 'epoch_1.pth').stat().st_size < 500_000
    states = []
    for name, options in (('whole', {}), ('slim', slim)):
        options |= {'train_cfg.max_epochs': 2, 'resume': True}
        runner = digits_runner(tmp_path / name, **options)
        runner.train()
        assert 'resumed epoch: 1' in read_log_of(runner)
        states.append(runner.model.state_dict())
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name


@pytest.mark.parametrize(
    ('slim', 'save_best'), [(True, 'auto'), (False, None)]
)
def test_a_task_file_of_averaged_weights(tmp_path, slim, save_best):
    """EMAHook tests averages: they are in checkpoints and in the task."""
    average = dict(type='EMAHook', momentum=0.5, strict_load=True)
    for epochs in (1, 2):
        runner = digits_runner(
            tmp_path,
            custom_hooks=[average],
            resume=True,
            **{
                'train_cfg.max_epochs': epochs,
                'default_hooks.checkpoint.save_best': save_best,
                'default_hooks.task_file.slim_checkpoints': slim,
            },
        )
        runner.train()
        written = tmp_path / f'epoch_{epochs}.pth'
        task = read_task(tmp_path / TASK)
        best = load_file(find_best(runner) or written)
        state = runner.model.state_dict(keep_vars=True)
        for name, tensor in task.tensors.items():
            assert torch.equal(tensor, best['state_dict'][name]), name
            last = best['ema_state_dict'][f'module.{name}']
            is_tuned = state[name].requires_grad
            assert torch.equal(tensor, last) != is_tuned, name
        assert (written.stat().st_size < 600_000) == slim


def test_a_run_resumed_from_a_task_starts_a_schedule(tmp_path, finished):
    task = finished / TASK
    runner = digits_runner(
        tmp_path / 'second',
        **{
            'resume': True,
            'load_from': str(task),
            'model.head.prototype_init': 'class_mean',
            'optim_wrapper.optimizer.lr': 0.0,
        },
    )
    runner.train()
    log = read_log(tmp_path / 'second')
    assert 'A task file has no state of an optimizer' in log
    assert 'Prototypes: those of the checkpoint.' in log
    state = runner.model.state_dict()
    for name, tensor in read_task(task).tensors.items():
        assert torch.equal(state[name], tensor), name


def test_a_model_without_a_frozen_backbone_has_no_task_file(tmp_path):
    head = dict(type='LinearClsHead', num_classes=10, in_channels=512)
    runner = digits_runner(
        tmp_path,
        **{
            'model.backbone': dict(
                type='ResNet', depth=18, num_stages=4, _delete_=True
            ),
            'model.neck': dict(type='GlobalAveragePooling'),
            'model.head': dict(head, _delete_=True),
        },
    )
    hook = TaskFileHook(slim_checkpoints=True)
    checkpoint = dict(state_dict={})
    hook.before_save_checkpoint(runner, checkpoint)
    assert checkpoint == dict(state_dict={})
    hook.after_train(runner)
    assert 'No frozen backbone, so no task file.' in read_log(tmp_path)


def test_what_no_task_file_can_hold_is_said_before_training(tmp_path):
    """And the run ends well, without a file that nobody could read."""
    cfg = Config.fromfile(DIGITS).test_dataloader.dataset
    cfg.indices = 32
    other = cfg.copy()
    other.pipeline = [dict(type='Resize', scale=32), cfg.pipeline[-1]]
    runner = digits_runner(
        tmp_path,
        **{
            'test_dataloader.dataset': dict(
                type='ConcatDataset', datasets=[cfg, other], _delete_=True
            )
        },
    )
    runner.train()
    log = read_log(tmp_path)
    line = 'There will be no task file of this run: the data sets of test_'
    assert log.index(line) < log.index('Epoch(val)')
    assert (tmp_path / 'test_results.json').is_file()
    assert not list(tmp_path.glob('*.safetensors'))


def test_an_exported_backbone_holds_the_averages(tmp_path):
    config = 'baselines/full_beitv2-tiny_digits.py'
    hooks = [
        dict(type='EMAHook', momentum=0.5),
        dict(type='ExportWeightsHook', filename='exported.pth'),
    ]
    runner = digits_runner(tmp_path, config, custom_hooks=hooks)
    runner.train()
    # A tuned encoder has no task file, and its run ends well.
    assert 'No frozen backbone, so no task file.' in read_log(tmp_path)
    assert (tmp_path / 'test_results.json').is_file()
    assert not (tmp_path / TASK).exists()
    written = load_file(tmp_path / 'epoch_1.pth')
    raw = written['ema_state_dict']  # EMAHook exchanges them
    exported = load_file(tmp_path / 'exported.pth')['state_dict']
    assert len(exported) > 50
    for name, tensor in exported.items():
        assert torch.equal(tensor, written['state_dict'][name]), name
    name = 'backbone.encoder.layers.0.ln1.weight'
    assert not torch.equal(exported[name], raw[f'module.{name}'])
    assert torch.equal(runner.model.state_dict()[name], raw[f'module.{name}'])
