"""Hooks and the optimizer, on real runners over the digits."""

import copy
import json
import math
from pathlib import Path

import pytest
import torch

from vptm_mm.engine import (
    ResumableCheckpointHook,
    TunedOptimWrapperConstructor,
)
from vptm_mm.models import FineTunedBackbone
from vptm_mm.nn import trainable_parameters
from vptm_mm.weights import load_file

from ..conftest import ENCODER
from .made_digits import digits_runner, read_log


def test_a_whole_training_run(tmp_path):
    runner = digits_runner(tmp_path)
    before = copy.deepcopy(runner.model.state_dict())
    runner.train()

    # Only what is tuned has changed, and all of it has.
    state = runner.model.state_dict(keep_vars=True)
    tuned = {name for name, value in state.items() if value.requires_grad}
    assert tuned == {
        'backbone.prompt_tokens.prompts',
        'head.verbalizer.prototypes',
        'head.verbalizer.projection.weight',
    }
    # Checkpoints name what is tuned beside the encoder.
    tuned = {name.replace('.tuning.', '.') for name in tuned}
    last = load_file(tmp_path / 'epoch_1.pth')
    for name, tensor in last['state_dict'].items():
        assert torch.equal(tensor, before[name]) == (name not in tuned), name

    # The optimizer holds the trainable parameters and nothing else.
    held = [
        parameter
        for group in runner.optim_wrapper.optimizer.param_groups
        for parameter in group['params']
    ]
    assert {id(p) for p in held} == {
        id(p) for p in trainable_parameters(runner.model).values()
    }

    log = read_log(tmp_path)
    assert log.count('Trainable parameters:') == 1
    count = 2 * 128 + 10 * 128 + 128 * 128
    assert f'{count:,} of 1,' in log
    assert f'{count * 4 / 1e3:,.1f} kB' in log
    assert 'requires_grad=False' not in log

    result = json.loads((tmp_path / 'test_results.json').read_text())
    assert result['checkpoint'] == 'best_accuracy_top1_epoch_1.pth'
    assert 0 <= result['metrics']['accuracy/top1'] <= 100


def test_best_checkpoint_of_a_moved_folder_and_metrics_of_tensors(tmp_path):
    runner = digits_runner(
        tmp_path / 'new',
        **{
            'test_evaluator': [
                dict(type='Accuracy'),
                dict(type='ConfusionMatrix'),
            ]
        },
    )
    runner.train()
    hub = runner.message_hub
    name = Path(hub.get_info('best_ckpt')).name
    hub.update_info('best_ckpt', str(tmp_path / 'old' / name))
    (hook,) = (
        h for h in runner.hooks if isinstance(h, ResumableCheckpointHook)
    )
    hook.after_train(runner)
    text = (tmp_path / 'new' / 'test_results.json').read_text()
    matrix = json.loads(text)['metrics']['confusion_matrix/result']
    assert sum(map(sum, matrix)) == 32


def test_the_test_images_are_looked_for_before_training(tmp_path):
    """Not after a hundred epochs."""
    options = {'test_dataloader.dataset.split': 'tset'}
    runner = digits_runner(tmp_path, **options)
    with pytest.raises(ValueError, match="split='tset'"):
        runner.train()
    assert runner.iter == 0


def constructed(build, paramwise_cfg=None, **options):
    backbone = build(**options)
    wrapper = TunedOptimWrapperConstructor(
        dict(optimizer=dict(type='SGD', lr=0.1, weight_decay=0.5)),
        paramwise_cfg,
    )(backbone)
    return wrapper.optimizer.param_groups


def test_optimizer_groups_follow_paramwise_cfg(build):
    (group,) = constructed(build)
    assert group['lr'] == 0.1
    (group,) = constructed(
        build,
        dict(custom_keys={'prompts': dict(lr_mult=2.0, decay_mult=0.0)}),
    )
    assert group['lr'] == 0.2
    assert group['weight_decay'] == 0


def test_partly_frozen_modules_log_no_warning(checkpoint, monkeypatch):
    backbone = FineTunedBackbone(
        ENCODER,
        tuned='bias',
        init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint)),
    )
    lines = []
    monkeypatch.setattr(
        'mmengine.optim.optimizer.default_constructor.print_log',
        lambda text, *args, **kwargs: lines.append(text),
    )
    wrapper = TunedOptimWrapperConstructor(
        dict(optimizer=dict(type='SGD', lr=0.1)), dict(bias_lr_mult=2.0)
    )(backbone)
    held = [g['params'] for g in wrapper.optimizer.param_groups]
    tuned = trainable_parameters(backbone)
    assert {id(p) for (p,) in held} == {id(p) for p in tuned.values()}
    assert any('attn.proj.bias:lr=0.2' in line for line in lines)
    assert not any('skipped' in line for line in lines)


def test_rates_by_layer_of_full_fine_tuning(tmp_path):
    """Each layer has 0.65 of the rate of the next; what is frozen has none."""
    runner = digits_runner(tmp_path, 'baselines/full_beitv2-tiny_digits.py')
    wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    scales = {
        group['param_name'].removeprefix('backbone.encoder.'): group['lr']
        / 1e-2
        for group in wrapper.optimizer.param_groups
    }
    assert len(scales) == len(trainable_parameters(runner.model))
    for name, depth in {
        'patch_embed.projection.weight': 0,
        'cls_token': 0,
        'layers.0.gamma_1': 1,
        'layers.5.attn.q_bias': 6,
        'rel_pos_bias.relative_position_bias_table': 7,
        'ln1.weight': 7,
        'head.fc.weight': 7,
    }.items():
        assert scales[name] == pytest.approx(0.65 ** (7 - depth)), name


def test_nothing_to_tune(build):
    with pytest.raises(
        ValueError, match='VPTMBackbone has no trainable param'
    ):
        constructed(build, prompt_length=0)


def test_hooks_without_their_part_stay_quiet(tmp_path):
    """No validation: no best checkpoint, one line that says so."""
    runner = digits_runner(
        tmp_path,
        val_cfg=None,
        val_dataloader=None,
        val_evaluator=None,
        **{'default_hooks.checkpoint.save_best': None},
    )
    runner.train()
    assert 'No best checkpoint by validation' in read_log(tmp_path)
    assert not (tmp_path / 'test_results.json').exists()
    assert math.isfinite(runner.message_hub.get_scalar('train/loss').mean())
