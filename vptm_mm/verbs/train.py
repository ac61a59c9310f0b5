"""Train a model: the flags and behaviour of MMPretrain's tool.

vptm train vptm_beitv2_cub
"""

import argparse
import sys
from contextlib import redirect_stdout

from mmengine.config import Config
from mmengine.runner import find_latest_checkpoint

from ..engine import ResumableCheckpointHook
from ..engine.hooks.resumable_checkpoint import AUTO
from ..engine.launch import (
    LOADERS,
    build_runner,
    finish_config,
    leave_process_group,
    load_config,
)
from ..engine.vis_backends import add_vis_backends
from ..weights import explained


def merge_args(cfg: Config, args: argparse.Namespace) -> None:
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
        # Without validation there is no best checkpoint to keep.
        if cfg.get('default_hooks') and 'checkpoint' in cfg.default_hooks:
            cfg.default_hooks.checkpoint.pop('save_best', None)
    if args.amp:
        if args.device == 'cpu':
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
    finish_config(
        cfg,
        args.cfg_options,
        persistent_workers=not args.no_persistent_workers,
        pin_memory=not args.no_pin_memory,
    )
    if args.resume == AUTO:
        resume_or_begin(cfg)


def resume_or_begin(cfg: Config) -> None:
    """Resume from the work dir; begin with ``load_from`` if it is new."""
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    if hook.get('type') == ResumableCheckpointHook.__name__:
        cfg.resume = AUTO  # it looks for the newest valid one
    elif find_latest_checkpoint(cfg.work_dir) is not None:
        cfg.resume, cfg.load_from = True, None  # the host looks again
    else:
        cfg.resume = False


def run(args: argparse.Namespace) -> None:
    """Run ``vptm train``."""
    with redirect_stdout(sys.stderr):  # the host's log goes to stdout
        cfg = load_config(args)
        merge_args(cfg, args)
        with explained(cfg.work_dir):
            build_runner(cfg, LOADERS).train()
        leave_process_group()
