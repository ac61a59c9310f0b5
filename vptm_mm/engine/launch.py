"""What training and testing share: the config, the runner."""

import argparse
import gc
import os
import time
from os import path as osp
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ..datasets import check_data_roots, check_splits
from ..host import quiet_host
from ..weights import trust_file
from .any_device_runner import AnyDeviceRunner
from .cfg_options import merge_cfg_options, open_config

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
TRAINING = ('train_dataloader', 'train_cfg', 'optim_wrapper')


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and merge what both tools' flags say.

    Without one, it is that of the checkpoint.

    Raises:
        FileNotFoundError: If the config, or a file to trust, is not there.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    source = args.config or args.checkpoint
    cfg = open_config(args.config, source)
    if args.trust_checkpoint is not None:
        trust_file(args.trust_checkpoint)
    cfg.launcher = args.launcher
    if args.device != get_device():
        cfg.device = args.device
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = osp.join('work_dirs', Path(source).stem)
    return cfg


def finish_config(
    cfg: Config,
    options: dict[str, Any] | None = None,
    *,
    persistent_workers: bool = True,
    pin_memory: bool = True,
) -> None:
    """Merge ``--cfg-options``, which come last, and fill in what is open.

    Args:
        cfg: The config, with all other flags merged; changed in place.
        options: Values by dotted key, as ``--cfg-options`` gives them.
        persistent_workers: Whether workers of data loaders may be kept.
        pin_memory: Whether the memory of data loaders may be pinned.

    Raises:
        ValueError: If an option names an unknown key.
    """
    merge_cfg_options(cfg, options or {})
    # A user's by_epoch=True on top of a config that names its loop; the host
    # takes one of the two.
    train_cfg = cfg.get('train_cfg') or {}
    if train_cfg.get('type') and train_cfg.get('by_epoch'):
        del train_cfg['by_epoch']
    # A checkpoint that does not fit is refused, whatever the config's hooks.
    cfg.default_hooks = cfg.get('default_hooks') or {}
    cfg.default_hooks.setdefault(
        'checkpoint_check', dict(type='CheckpointCheckHook')
    )
    for name in LOADERS:
        loader = cfg.get(name)
        if loader is None:
            continue
        workers = loader.get('num_workers', 0)
        loader.setdefault('collate_fn', dict(type='default_collate'))
        loader.setdefault('pin_memory', torch.cuda.is_available())
        loader.setdefault('persistent_workers', True)
        loader.pin_memory &= pin_memory
        loader.persistent_workers &= persistent_workers and workers > 0


def build_runner(cfg: Config, loaders: tuple[str, ...]) -> Runner:
    """Check the data, build the runner.

    Args:
        cfg: The merged config.
        loaders: The data loaders that the run will read.

    Raises:
        FileNotFoundError: If a data set is not where the config says.
        ValueError: If a part of a training config is missing, data loaders
            share images, or the config asks for the host's
            ``FlexibleRunner``.
    """
    for name in loaders:
        check_data_roots(cfg.get(name))
    if 'train_dataloader' in loaders:
        check_data_roots([cfg.get('default_hooks'), cfg.get('custom_hooks')])
        missing = [key for key in TRAINING if cfg.get(key) is None]
        if missing:
            raise ValueError(
                f'the config has no {", ".join(missing)}; inherit one that '
                'has, as `vptm configs --copy NAME FILE` writes it.'
            )
    if 'strategy' in cfg or cfg.get('runner_type') == 'FlexibleRunner':
        raise ValueError(
            'FlexibleRunner and its strategies (FSDP, DeepSpeed, ...) are not '
            'supported: they cut the frozen encoder in pieces, which have '
            'another sha256. Remove runner_type and strategy; see '
            'docs/train.md.'
        )
    cfg.setdefault('runner_type', AnyDeviceRunner.__name__)
    quiet_host()
    # What was imported stays; the host collects garbage for each data set,
    # and would look at all of it again.
    gc.freeze()
    runner = RUNNERS.build(cfg)
    # Not before: one process downloads for all.
    check_splits(cfg, loaders)
    return runner


def leave_process_group() -> None:
    """End the process group of a run that ended well, if it has one.

    gloo's threads hold tensors of the last exchanges. One that is still there
    when the interpreter ends may abort the process; it ends with the last
    reference to the group, so the runner must be out of scope. Not for a run
    that failed: the other processes may be waiting for this one.

    To free those tensors the threads need the interpreter's lock. torch 2.6
    keeps it while it waits for their end, and both would wait for ever; so
    they first get time to free them.
    """
    if dist.is_available() and dist.is_initialized():
        time.sleep(0.2)
        dist.destroy_process_group()
        gc.collect()  # the runner, and with it the group, is in cycles
