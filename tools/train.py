"""Train a model: the flags and behaviour of MMPretrain's tool.

python tools/train.py configs/vptm_beitv2_cub.py
"""

import argparse

# First: it says what to install if MMPretrain is missing.
import vptm_mm  # noqa: F401

# isort: split

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import find_latest_checkpoint

from vptm_mm.engine import ResumableCheckpointHook
from vptm_mm.engine.hooks.resumable_checkpoint import AUTO
from vptm_mm.engine.launch import (
    LOADERS,
    add_common_arguments,
    build_runner,
    finish_config,
    leave_process_group,
    load_config,
)
from vptm_mm.engine.vis_backends import BACKENDS, add_vis_backends
from vptm_mm.run_tool import run_tool
from vptm_mm.weights import explained


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a model')
    parser.add_argument('config', help='path of the config')
    parser.add_argument(
        '--resume',
        nargs='?',
        const=AUTO,
        help='resume from this checkpoint, or without a path from the newest '
        'one in the work dir that is whole; begin if there is none',
    )
    parser.add_argument(
        '--amp',
        action='store_true',
        help='automatic mixed precision; on a CPU in bfloat16',
    )
    parser.add_argument(
        '--no-validate',
        action='store_true',
        help='do not evaluate during training',
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate with the actual batch size',
    )
    parser.add_argument(
        '--no-persistent-workers',
        action='store_true',
        help='start the workers of data loaders again in each epoch',
    )
    parser.add_argument(
        '--watch',
        nargs='+',
        choices=list(BACKENDS),
        default=[],
        help='write curves for TensorBoard or W&B, too',
    )
    add_common_arguments(parser)
    return parser.parse_args()


def merge_args(cfg: Config, args: argparse.Namespace) -> None:
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
        # Without validation there is no best checkpoint to keep.
        if cfg.get('default_hooks') and 'checkpoint' in cfg.default_hooks:
            cfg.default_hooks.checkpoint.pop('save_best', None)
    if args.amp:
        if get_device() == 'cpu':
            cfg.optim_wrapper.type = 'BFloat16OptimWrapper'
            for key in ('loss_scale', 'dtype', 'use_fsdp'):
                cfg.optim_wrapper.pop(key, None)
        else:
            cfg.optim_wrapper.type = 'AmpOptimWrapper'
            cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if args.resume not in (None, AUTO):
        cfg.resume, cfg.load_from = True, args.resume
    if args.auto_scale_lr:
        if cfg.get('auto_scale_lr') is None:
            raise ValueError(
                '--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...)'
                ' in the config.'
            )
        cfg.auto_scale_lr.enable = True
    add_vis_backends(cfg, args.watch)
    finish_config(cfg, args, not args.no_persistent_workers)
    if args.resume == AUTO:
        resume_or_begin(cfg)


def resume_or_begin(cfg: Config) -> None:
    """Resume from the work dir; begin with ``load_from`` if it is new."""
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    if hook.get('type') == ResumableCheckpointHook.__name__:
        cfg.resume = AUTO  # it looks for the newest one that is whole
    elif find_latest_checkpoint(cfg.work_dir) is not None:
        cfg.resume, cfg.load_from = True, None  # the host looks again
    else:
        cfg.resume = False


def main() -> None:
    args = parse_args()
    cfg = load_config(args)
    merge_args(cfg, args)
    with explained(cfg.work_dir):
        build_runner(cfg, LOADERS).train()


if __name__ == '__main__':
    run_tool(main)
    leave_process_group()
