"""Hooks and the optimizer, on real runners over the digits."""

import copy
import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from PIL import Image

from vptm_mm.bricks import tuned_parameters
from vptm_mm.checkpoints import load_file, read_task, write_task
from vptm_mm.datasets import SklearnDigits
from vptm_mm.engine import (
    BestCheckpointTestHook,
    CheckpointCheckHook,
    ExportBackboneHook,
    FitTokenizerHook,
    TaskFileHook,
    TokenReportHook,
    TunedOptimWrapperConstructor,
)
from vptm_mm.engine.hooks.best_checkpoint import find_best
from vptm_mm.engine.hooks.masked_token_accuracy import predict_masked_tokens
from vptm_mm.models import FineTunedBackbone, VPTMBackbone

from ..conftest import ENCODER, ROOT, make_pretraining_model

DIGITS = ROOT / 'configs' / 'vptm_beitv2-tiny_digits.py'


def digits_runner(
    work_dir: Path, config='vptm_beitv2-tiny_digits.py', **options
) -> Runner:
    """A runner of a digits config: 64 images, one epoch of two steps."""
    cfg = Config.fromfile(ROOT / 'configs' / config)
    cfg.merge_from_dict(
        {
            'train_dataloader.dataset.indices': 64,
            'train_dataloader.batch_size': 32,
            'val_dataloader.dataset.indices': 32,
            'test_dataloader.dataset.indices': 32,
            'train_cfg.max_epochs': 1,
            'param_scheduler.1.end': 3,
            'work_dir': str(work_dir),
            'experiment_name': f'{work_dir}',
            'log_level': 'INFO',
            **options,
        }
    )
    if 'prompt_length' in cfg.model.backbone:
        cfg.model.backbone.prompt_length = 2
    return Runner.from_cfg(cfg)


def read_log(work_dir: Path) -> str:
    (path,) = work_dir.glob('*/*.log')
    return path.read_text()


def test_a_whole_training_run(tmp_path):
    runner = digits_runner(tmp_path)
    before = copy.deepcopy(runner.model.state_dict())
    runner.train()

    # Only what is tuned has changed, and all of it has.
    tuned = set(tuned_parameters(runner.model))
    assert tuned == {
        'backbone.prompt_tokens.prompts',
        'head.verbalizer.prototypes',
        'head.verbalizer.projection.weight',
    }
    last = load_file(tmp_path / 'epoch_1.pth')
    for name, tensor in last['state_dict'].items():
        assert torch.equal(tensor, before[name]) == (name not in tuned), name

    # The optimizer holds the tuned parameters and nothing else.
    held = [
        parameter
        for group in runner.optim_wrapper.optimizer.param_groups
        for parameter in group['params']
    ]
    assert {id(p) for p in held} == {
        id(p) for p in tuned_parameters(runner.model).values()
    }

    log = read_log(tmp_path)
    assert log.count('Tuned parameters:') == 1
    count = 2 * 128 + 10 * 128 + 128 * 128
    assert f'{count:,} of 1,' in log
    assert f'{count * 4 / 1e3:,.1f} kB' in log
    assert 'requires_grad=False' not in log

    result = json.loads((tmp_path / 'test_results.json').read_text())
    assert result['checkpoint'] == 'best_accuracy_top1_epoch_1.pth'
    assert 0 <= result['metrics']['accuracy/top1'] <= 100
    with Image.open(tmp_path / 'training_curves.png') as picture:
        assert picture.width > 800


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
    BestCheckpointTestHook().after_train(runner)
    text = (tmp_path / 'new' / 'test_results.json').read_text()
    matrix = json.loads(text)['metrics']['confusion_matrix/result']
    assert sum(map(sum, matrix)) == 32


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


def test_the_test_images_are_looked_for_before_training(tmp_path):
    """Not after a hundred epochs."""
    options = {'test_dataloader.dataset.split': 'tset'}
    runner = digits_runner(tmp_path, **options)
    with pytest.raises(ValueError, match="split='tset'"):
        runner.train()
    assert runner.iter == 0


@pytest.mark.parametrize(('run', 'split'), [('train', 'train'), ('test',) * 2])
def test_a_head_with_other_classes_is_refused(tmp_path, run, split):
    options = {'model.head.num_classes': 12}
    text = f'num_classes=12, and the {split} data set 10 classes; make them'
    with pytest.raises(ValueError, match=text):
        getattr(digits_runner(tmp_path, **options), run)()


@pytest.mark.parametrize('split', ['val', 'test'])
def test_images_of_other_names_are_refused_before_training(tmp_path, split):
    names = dict(classes=tuple('0123456798'))
    runner = digits_runner(
        tmp_path, **{f'{split}_dataloader.dataset.metainfo': names}
    )
    text = f"class 8 is '8' in the train and '9' in the {split}. Give both"
    with pytest.raises(ValueError, match=text):
        runner.train()
    assert runner.iter == 0


@pytest.mark.parametrize('split', ['val', 'test'])
def test_images_of_other_classes_are_refused_before_training(tmp_path, split):
    names = dict(classes=tuple('abc'))
    runner = digits_runner(
        tmp_path, **{f'{split}_dataloader.dataset.metainfo': names}
    )
    with pytest.raises(ValueError, match=f'and the {split} data set 3 class'):
        runner.train()
    assert runner.iter == 0


def test_a_head_on_images_without_class_names(tmp_path, monkeypatch):
    monkeypatch.setattr(SklearnDigits, 'METAINFO', {})
    runner = digits_runner(tmp_path, **{'model.head.num_classes': 12})
    runner.train()
    assert runner.iter == 2


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
    tuned = tuned_parameters(backbone)
    assert {id(p) for (p,) in held} == {id(p) for p in tuned.values()}
    assert any('attn.proj.bias:lr=0.2' in line for line in lines)
    assert not any('skipped' in line for line in lines)


def test_nothing_to_tune(build):
    with pytest.raises(ValueError, match='VPTMBackbone has no parameter to'):
        constructed(build, prompt_length=0)


@pytest.fixture
def pretraining_runner(tmp_path) -> Runner:
    cfg = Config.fromfile(ROOT / 'configs/pretrain/beitv2-tiny_digits.py')
    cfg.merge_from_dict(
        {
            'train_dataloader.dataset.indices': 64,
            'train_dataloader.batch_size': 32,
            'custom_hooks.1.dataloader.dataset.indices': 32,
            'model.head.num_embed': 16,
            'model.target_generator.num_visual_tokens': 16,
            'train_cfg.max_epochs': 2,
            'param_scheduler.0.end': 1,
            'param_scheduler.1.begin': 1,
            'param_scheduler.1.end': 2,
            'work_dir': str(tmp_path),
            'experiment_name': f'{tmp_path}',
        }
    )
    return Runner.from_cfg(cfg)


def test_pre_training_makes_a_backbone_that_vptm_reads(
    pretraining_runner, tmp_path
):
    runner = pretraining_runner
    runner.train()
    assert runner.model.target_generator.is_fitted
    report = json.loads((tmp_path / 'masked_token_accuracy.json').read_text())
    assert report['images'] == 32
    assert report['masked_patches'] == 32 * 6
    assert 1 / 16 <= report['chance'] <= 1
    assert 0 <= report['accuracy'] <= 1
    encoder = dict(
        type='BEiTPretrainViT',
        arch={k: runner.cfg.arch[k] for k in runner.cfg.arch},
        img_size=32,
        patch_size=8,
    )
    backbone = VPTMBackbone(
        encoder,
        visual_token='logits',
        num_visual_tokens=16,
        init_cfg=dict(
            type='Pretrained',
            checkpoint=str(tmp_path / 'beitv2-tiny_digits.pth'),
        ),
    )
    ours = backbone.encoder.layers[0].attn.qkv.weight
    theirs = runner.model.backbone.layers[0].attn.qkv.weight
    assert torch.equal(ours, theirs.half().float())
    # The file of an interrupted run is read as well.
    VPTMBackbone(
        encoder,
        init_cfg=dict(
            type='Pretrained', checkpoint=str(tmp_path / 'epoch_2.pth')
        ),
    )


def test_a_resumed_pre_training_keeps_its_codebook(pretraining_runner):
    runner = pretraining_runner
    codebook = torch.randn_like(runner.model.target_generator.codebook)
    runner.model.target_generator.codebook.copy_(codebook)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    FitTokenizerHook().before_train(runner)
    assert torch.equal(runner.model.target_generator.codebook, codebook)


def test_masked_tokens_are_those_of_the_masked_patches():
    model = make_pretraining_model()
    model.target_generator.fit([torch.randn(50, 48)])
    images = torch.randn(2, 3, 16, 16)
    mask = torch.zeros(2, 4, 4, dtype=torch.long)
    mask[0, 1, 2] = mask[1, 3, 0] = 1
    predicted, true = predict_masked_tokens(model, images, images, mask)
    assert predicted.shape == (2,)
    tokens = model.target_generator(images)
    assert true.tolist() == [tokens[0, 6].item(), tokens[1, 12].item()]
    backbone = VPTMBackbone(
        ENCODER, prompt_length=0, visual_token='logits', num_visual_tokens=12
    )
    state = model.state_dict()
    renamed = {
        'neck.norm': 'encoder.ln1',
        'head.cls_head': 'token_predictor',
        'backbone': 'encoder',
    }
    for old, new in renamed.items():
        state = {
            (new + k[len(old) :] if k.startswith(old + '.') else k): v
            for k, v in state.items()
        }
    backbone.load_state_dict(state, strict=False)
    hidden = backbone.predict_masked_patches(images, mask)
    ours = backbone.token_predictor(hidden).argmax(-1)
    assert predicted.tolist() == [ours[0, 6].item(), ours[1, 12].item()]


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda: FitTokenizerHook(max_patches=0), 'max_patches=0 must be'),
        (
            lambda: TokenReportHook({}, max_patches=0),
            'max_patches=0 must be',
        ),
        (
            lambda: ExportBackboneHook('a.pth', dtype='int8'),
            "dtype='int8' must be one of",
        ),
    ],
)
def test_bad_options(call, message):
    with pytest.raises(ValueError, match=message):
        call()


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
    assert (tmp_path / 'training_curves.png').is_file()
    assert math.isfinite(runner.message_hub.get_scalar('train/loss').mean())


class NotingHook(Hook):
    """Writes to checkpoints what the host's hooks may rely on."""

    def before_save_checkpoint(self, runner, checkpoint):
        checkpoint['meta']['note'] = 'x'


def test_a_task_file_of_the_last_state_is_no_checkpoint(tmp_path):
    runner = digits_runner(
        tmp_path, **{'default_hooks.checkpoint.save_best': None}
    )
    runner.register_hook(NotingHook())
    runner.train()
    assert read_task(tmp_path / 'task.safetensors').tensors


def test_a_task_file_of_the_best_checkpoint(tmp_path):
    runner = digits_runner(tmp_path)
    runner.train()
    task = read_task(tmp_path / 'task.safetensors')
    best = load_file(tmp_path / 'best_accuracy_top1_epoch_1.pth')['state_dict']
    for name, tensor in task.tensors.items():
        assert torch.equal(tensor, best[name]), name
    assert task.classes == tuple('0123456789')
    assert [t['type'] for t in task.pipeline] == ['Resize', 'PackInputs']
    assert 'Task file of best_accuracy_top1_epoch_1.pth' in read_log(tmp_path)


def test_slim_checkpoints_resume_like_whole_ones(tmp_path):
    states = []
    for name, slim in (('whole', False), ('slim', True)):
        options = {'custom_hooks.5.slim_checkpoints': slim}
        folder = tmp_path / name
        digits_runner(folder, **options).train()
        assert ((folder / 'epoch_1.pth').stat().st_size < 500_000) == slim
        runner = digits_runner(
            folder, **options, **{'train_cfg.max_epochs': 2, 'resume': True}
        )
        runner.train()
        assert 'resumed epoch: 1' in read_log_of(runner)
        states.append(runner.model.state_dict())
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name


@pytest.mark.parametrize(
    ('slim', 'save_best'), [(False, 'auto'), (True, 'auto'), (False, None)]
)
def test_a_task_file_of_averaged_weights(tmp_path, slim, save_best):
    """EMAHook tests averages: they are in checkpoints and in the task."""
    hooks = Config.fromfile(DIGITS).custom_hooks
    hooks[5].slim_checkpoints = slim
    hooks.append(dict(type='EMAHook', momentum=0.5, strict_load=True))
    for epochs in (1, 2):
        runner = digits_runner(
            tmp_path,
            custom_hooks=hooks,
            resume=True,
            **{
                'train_cfg.max_epochs': epochs,
                'default_hooks.checkpoint.save_best': save_best,
            },
        )
        runner.train()
        written = tmp_path / f'epoch_{epochs}.pth'
        task = read_task(tmp_path / 'task.safetensors')
        best = load_file(find_best(runner) or written)
        for name, tensor in task.tensors.items():
            assert torch.equal(tensor, best['state_dict'][name]), name
            last = best['ema_state_dict'][f'module.{name}']
            is_tuned = name in tuned_parameters(runner.model)
            assert torch.equal(tensor, last) != is_tuned, name
        assert (written.stat().st_size < 600_000) == slim


def read_log_of(runner: Runner) -> str:
    (path,) = Path(runner.log_dir).glob('*.log')
    return path.read_text()


def test_a_run_resumed_from_a_task_starts_a_schedule(tmp_path):
    digits_runner(tmp_path / 'first').train()
    task = tmp_path / 'first' / 'task.safetensors'
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


def test_a_task_with_other_class_names_is_refused(tmp_path):
    digits_runner(tmp_path / 'first').train()
    path = tmp_path / 'first' / 'task.safetensors'
    names = ('zero', *'123456789')
    write_task(dataclasses.replace(read_task(path), classes=names), path)
    runner = digits_runner(tmp_path / 'second', load_from=str(path))
    with pytest.raises(ValueError, match="class 0 is 'zero' in the task and "):
        runner.test()


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


@pytest.mark.parametrize('name', ['full', 'bitfit'])
def test_a_tuned_encoder_has_no_task_file(tmp_path, name):
    """And its training ends well, with a tested checkpoint."""
    config = f'rivals/{name}_beitv2-tiny_digits.py'
    runner = digits_runner(tmp_path, config)
    runner.train()
    assert 'No frozen backbone, so no task file.' in read_log(tmp_path)
    assert (tmp_path / 'test_results.json').is_file()
    assert not (tmp_path / 'task.safetensors').exists()
