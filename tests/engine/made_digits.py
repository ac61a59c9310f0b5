"""Runners of the digits' configs, made small."""

from pathlib import Path

from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ..conftest import ROOT

DIGITS = ROOT / 'configs' / 'vptm_beitv2-tiny_digits.py'
TASK = f'{DIGITS.stem}.task.safetensors'


def digits_runner(
    work_dir: Path,
    config='vptm_beitv2-tiny_digits.py',
    least_views: int = 1,
    **options,
) -> Runner:
    """A runner of a digits config: 64 images, one epoch of two steps.

    Class means are of one view of each image, in place of 1000 views.
    """
    cfg = Config.fromfile(ROOT / 'configs' / config)
    cfg.merge_from_dict(
        {
            'train_dataloader.dataset.indices': 64,
            'train_dataloader.batch_size': 32,
            'val_dataloader.dataset.indices': 32,
            'test_dataloader.dataset.indices': 32,
            'train_cfg.max_epochs': 1,
            'work_dir': str(work_dir),
            'experiment_name': f'{work_dir}',
            'log_level': 'INFO',
            **options,
        }
    )
    if 'prompt_length' in cfg.model.backbone:
        cfg.model.backbone.prompt_length = 2
    if cfg.default_hooks.get('class_means'):
        cfg.default_hooks.class_means.setdefault('least_views', least_views)
    return RUNNERS.build(cfg)


def read_log(work_dir: Path) -> str:
    (path,) = work_dir.glob('*/*.log')
    return path.read_text()


def read_log_of(runner: Runner) -> str:
    (path,) = Path(runner.log_dir).glob('*.log')
    return path.read_text()
