"""Known keys pass; an unknown one is an error that names the nearest."""

import pytest
from mmengine.config import Config

from vptm_mm.engine.cfg_options import check_cfg_options

from ..conftest import ROOT

CFG = Config.fromfile(ROOT / 'configs' / 'vptm_beitv2_cub.py')


@pytest.mark.parametrize(
    'option',
    [
        'model.backbone.prompt_length',  # in the config
        'model.backbone.prompt_bias',  # an argument of VPTMBackbone
        'model.backbone.encoder.drop_rate',
        'model.backbone.init_cfg.checkpoint',
        'model.head.instance_loss_weight',
        'model.head.loss.label_smooth_val',  # below what is not set
        'model.train_cfg.augments',
        'train_dataloader.batch_size',
        'train_dataloader.pin_memory',  # an argument of DataLoader
        'train_dataloader.dataset.val_fraction',
        'train_dataloader.dataset.dataset.indices',  # of a base class
        'train_dataloader.dataset.dataset.pipeline.1.scale',
        'optim_wrapper.optimizer.lr',
        'optim_wrapper.optimizer.betas',
        'optim_wrapper.clip_grad.max_norm',
        'optim_wrapper.accumulative_counts',
        'param_scheduler.1.end',
        'train_cfg.max_epochs',
        'train_cfg.val_begin',
        'train_cfg.max_iters',
        'test_cfg.fp16',
        'default_hooks.logger.interval',
        'default_hooks.checkpoint.save_best',
        'randomness.seed',
        'randomness.diff_rank_seed',
        'env_cfg.dist_cfg.backend',
        'compile',
        'load_from',
        'val_evaluator.topk',
    ],
)
def test_known(option):
    check_cfg_options(CFG, {option: 1})


@pytest.mark.parametrize(
    ('option', 'nearest'),
    [
        ('model.backbone.prompt_lenght', 'model.backbone.prompt_length'),
        ('model.backbone.promptbias', 'model.backbone.prompt_bias'),
        ('model.backbon.prompt_length', 'model.backbone'),
        ('model.head.temprature', 'model.head.temperature'),
        ('train_dataloader.batchsize', 'train_dataloader.batch_size'),
        ('optim_wrapper.optimizer.learning_rate', None),
        ('optim_wrapper.optimiser.lr', 'optim_wrapper.optimizer'),
        ('train_cfg.max_epoch', 'train_cfg.max_epochs'),
        ('param_scheduler.1.ends', 'param_scheduler.1.end'),
        ('default_hooks.checkpoint.intervall', 'checkpoint.interval'),
        ('randomness.sed', 'randomness.seed'),
        ('workdir', 'work_dir'),
        ('train_dataloader.dataset.val_frac', 'dataset.val_fraction'),
    ],
)
def test_unknown(option, nearest):
    with pytest.raises(ValueError, match='unknown key .* did you mean') as e:
        check_cfg_options(CFG, {option: 1})
    assert option in str(e.value)
    if nearest:
        assert f'{nearest}' in str(e.value)


@pytest.mark.parametrize('index', ['7', 'last'])
def test_no_index_of_a_list(index):
    with pytest.raises(ValueError, match='param_scheduler is a list of 2'):
        check_cfg_options(CFG, {f'param_scheduler.{index}.end': 1})
