"""Known keys pass; an unknown one is an error that names the nearest."""

import copy

import pytest
from mmengine.config import Config

from vptm_mm.engine.cfg_options import merge_cfg_options, read_config

from ..conftest import ROOT

CFG = Config.fromfile(ROOT / 'configs' / 'vptm_beitv2_cub.py')


@pytest.mark.parametrize(
    'option',
    [
        'model.backbone.prompt_length',  # in the config
        'model.backbone.prompt_bias',  # an argument of VPTMBackbone
        'model.backbone.init_cfg.checkpoint',
        'model.head.loss.type',  # below what is not set
        'model.train_cfg.augments',
        'train_dataloader.pin_memory',  # an argument of DataLoader
        'train_dataloader.dataset.dataset.indices',  # of a base class
        'train_dataloader.dataset.dataset.pipeline.1.scale',
        'optim_wrapper.optimizer.betas',
        'optim_wrapper.clip_grad.max_norm',
        'optim_wrapper.accumulative_counts',
        'param_scheduler.1.end',
        'train_cfg.val_begin',
        'train_cfg.max_iters',
        'test_cfg.fp16',
        'default_hooks.checkpoint.save_best',
        'randomness.diff_rank_seed',
        'env_cfg.dist_cfg.backend',
        'compile',
        'val_evaluator.topk',
        'model.data_preprocessor.to_rgb',
    ],
)
def test_known(option):
    cfg = copy.deepcopy(CFG)
    merge_cfg_options(cfg, {option: 1})
    node = cfg
    for key in option.split('.'):
        node = node[int(key)] if key.isdigit() else node[key]
    assert node == 1


@pytest.mark.parametrize(
    'options',
    [
        {
            'optim_wrapper.optimizer.momentum': 0.9,
            'optim_wrapper.optimizer.type': 'SGD',
        },
        {
            'optim_wrapper.type': 'AmpOptimWrapper',
            'optim_wrapper.dtype': 'bfloat16',
        },
        {
            'param_scheduler.1.type': 'MultiStepLR',
            'param_scheduler.1.milestones': [30, 60],
        },
        {'auto_scale_lr.enable': True},
        {'data_preprocessor.num_classes': 200},
        {'data_preprocessor.to_onehot': True},
        {'env_cfg.dist_cfg.timeout': 10},
        {
            'default_hooks.early.type': 'EarlyStoppingHook',
            'default_hooks.early.monitor': 'accuracy/top1',
        },
        {'optim_wrapper.clip_grad.norm_type': 1},
        {'optim_wrapper.paramwise_cfg.norm_decay_mult': 0},
        {'model.backbone.init_cfg': None},
    ],
)
def test_known_together(options):
    merge_cfg_options(copy.deepcopy(CFG), options)


def test_a_picture_is_not_a_config(tmp_path):
    (tmp_path / 'x.jpg').touch()
    with pytest.raises(ValueError, match=r'x\.jpg is not a config; its name'):
        read_config(tmp_path / 'x.jpg')


@pytest.mark.parametrize(
    'option', ['data_root', 'train_pipeline.1.scale', 'dataset_type']
)
def test_building_blocks_of_a_config_are_refused(option):
    cfg = copy.deepcopy(CFG)
    cfg.dataset_type = 'CUB'
    with pytest.raises(ValueError, match='only helped to write the config'):
        merge_cfg_options(cfg, {option: 1})


@pytest.mark.parametrize(
    ('option', 'nearest'),
    [
        ('model.backbone.prompt_lenght', 'model.backbone.prompt_length'),
        ('model.backbon.prompt_length', 'model.backbone'),
        ('train_dataloader.batchsize', 'train_dataloader.batch_size'),
        # Called so elsewhere.
        ('max_epochs', 'train_cfg.max_epochs'),
        ('lr', 'optim_wrapper.optimizer.lr'),
        ('backbone.prompt_length', 'model.backbone.prompt_length'),
        ('param_scheduler.1.ends', 'param_scheduler.1.end'),
        ('default_hooks.checkpoint.intervall', 'checkpoint.interval'),
        ('randomness.sed', 'randomness.seed'),
        ('train_dataloader.dataset.val_frac', 'dataset.val_fraction'),
    ],
)
def test_unknown(option, nearest):
    with pytest.raises(ValueError, match='unknown key .* did you mean') as e:
        merge_cfg_options(copy.deepcopy(CFG), {option: 1})
    assert option in str(e.value)
    assert f"{nearest}'" in str(e.value)


def test_unknown_and_like_nothing_that_exists():
    option = 'optim_wrapper.optimizer.zzz'
    with pytest.raises(ValueError, match='known are .*, lr, ') as e:
        merge_cfg_options(copy.deepcopy(CFG), {option: 1})
    assert 'did you mean' not in str(e.value)


@pytest.mark.parametrize('index', ['7', 'last'])
def test_no_index_of_a_list(index):
    with pytest.raises(ValueError, match='1 does not fit what the config'):
        merge_cfg_options(
            copy.deepcopy(CFG), {f'param_scheduler.{index}.end': 1}
        )


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'model.backbone.type': {}}, 'type: {} does not fit what the'),
        ({'param_scheduler.³.end': 1}, '1 does not fit what the config'),
        ({f'param_scheduler.{"9" * 5000}.end': 1}, '1 does not fit what the'),
    ],
)
def test_values_of_another_kind(options, message):
    with pytest.raises(ValueError, match=message):
        merge_cfg_options(copy.deepcopy(CFG), options)


@pytest.mark.parametrize(
    'options',
    [
        {'optim_wrapper.optimizer': dict(_delete_=True, type='SGD', lr=1)},
        {'optim_wrapper': dict(optimizer=dict(_delete_=True, type='SGD'))},
        {'optim_wrapper': dict(_delete_=True, optimizer=dict(type='SGD'))},
    ],
)
def test_delete_replaces_at_any_depth_each_time(options):
    for _ in range(2):
        cfg = copy.deepcopy(CFG)
        assert 'weight_decay' in cfg.optim_wrapper.optimizer
        merge_cfg_options(cfg, options)
        assert cfg.optim_wrapper.optimizer.type == 'SGD'
        assert 'weight_decay' not in cfg.optim_wrapper.optimizer


def test_an_empty_type_is_left_to_the_host():
    cfg = copy.deepcopy(CFG)
    merge_cfg_options(cfg, {'param_scheduler.0.type': ''})
    assert cfg.param_scheduler[0].type == ''


def test_a_mapping_after_one_of_its_keys_keeps_it():
    cfg = copy.deepcopy(CFG)
    options = {
        'optim_wrapper.optimizer.lr': 0.5,
        'optim_wrapper.optimizer': dict(weight_decay=0.25),
    }
    merge_cfg_options(cfg, options)
    assert cfg.optim_wrapper.optimizer.lr == 0.5
    assert cfg.optim_wrapper.optimizer.weight_decay == 0.25
