"""Test a checkpoint: the flags and behaviour of MMPretrain's tool.

vptm test vptm_beitv2_cub CHECKPOINT
"""

import argparse
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import mmengine
from mmengine.config import Config, ConfigDict
from mmengine.dist import is_main_process
from mmengine.evaluator import DumpResults

from ..engine.launch import (
    build_runner,
    finish_config,
    leave_process_group,
    load_config,
)
from ..tasks import file_pipeline, inner_datasets, read_checkpoint
from ..weights import write_whole

# What the host writes, by --out-item.
FORMATS = dict(
    pred=('.pkl', '.pickle'), metrics=('.json', '.yaml', '.yml', '.pkl')
)
NO_TEST_SET = (
    'a task file has no test set; give --folder FOLDER, or name a config that '
    'has one before it.'
)


def merge_args(cfg: Config, args: argparse.Namespace) -> None:
    cfg.load_from = args.checkpoint
    cfg.resume = False
    if args.amp:
        cfg.test_cfg.fp16 = True
    if args.show or args.show_dir is not None:
        cfg.default_hooks.visualization = dict(
            type='VisualizationHook',
            enable=True,
            show=args.show,
            wait_time=args.wait_time,
            out_dir=args.show_dir,
            interval=args.interval,
            resize=336,  # pixels: text on a small image is not legible
        )
    if args.folder is not None:
        test_folder(cfg, args.checkpoint, args.folder)
    elif args.config is None and cfg.get('test_dataloader') is None:
        raise ValueError(NO_TEST_SET)
    finish_config(
        cfg,
        args.cfg_options,
        persistent_workers=False,
        pin_memory=not args.no_pin_memory,
    )
    if args.tta:  # wraps the model, so that keys of options must be in before
        add_tta(cfg)


def test_folder(cfg: Config, checkpoint: str, folder: str) -> None:
    if not Path(folder).is_dir():
        raise FileNotFoundError(f'--folder: no {Path(folder).absolute()}')
    meta = read_checkpoint(checkpoint).get('meta') or {}
    classes = (meta.get('dataset_meta') or {}).get('classes')
    if not classes:
        raise ValueError(
            f'--folder: {checkpoint} does not name its classes, by which '
            'images are labelled; give a task file.'
        )
    pipeline = file_pipeline(cfg)
    if cfg.get('test_dataloader') is None:  # of a task file
        cfg.test_dataloader = dict(
            batch_size=32,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
        )
        cfg.test_evaluator = dict(type='Accuracy', topk=(1,))
        cfg.test_cfg = dict()
        cfg.val_dataloader = None
        cfg.default_scope = 'mmpretrain'
    cfg.test_dataloader.dataset = dict(
        type='ImageFolder',
        data_root=folder,
        split='all',
        classes=list(classes),
        pipeline=pipeline,
    )
    cfg.model.head.num_classes = len(classes)
    if 'num_classes' in (cfg.get('data_preprocessor') or {}):
        cfg.data_preprocessor.num_classes = len(classes)


def add_tta(cfg: Config) -> None:
    datasets = list(inner_datasets(cfg.test_dataloader.dataset))
    for dataset in datasets:
        if not dataset.get('pipeline'):
            raise ValueError(
                f'--tta needs a test set with a pipeline; {dataset.type} has '
                'none.'
            )
    mirrored = [
        dict(type='RandomFlip', prob=1.0),
        dict(type='RandomFlip', prob=0.0),
    ]
    cfg.setdefault('tta_model', dict(type='AverageClsScoreTTA'))
    if 'tta_pipeline' not in cfg:
        *steps, last = datasets[0].pipeline
        views = dict(type='TestTimeAug', transforms=[mirrored, [last]])
        cfg.tta_pipeline = [*steps, views]
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    for dataset in datasets:
        dataset.pipeline = cfg.tta_pipeline


def check_out(out: str | None, item: str | None) -> str | None:
    """Return what ``--out`` receives: ``'pred'`` or ``'metrics'``."""
    if out is None:
        if item is not None:
            raise ValueError('--out-item needs --out.')
        return None
    suffix = Path(out).suffix
    item = item or ('pred' if suffix in FORMATS['pred'] else 'metrics')
    if suffix not in FORMATS[item]:
        raise ValueError(
            f'--out {out} must end with {" or ".join(FORMATS[item])} for '
            f'--out-item {item}.'
        )
    return item


def run(args: argparse.Namespace) -> None:
    """Run ``vptm test``."""
    if args.out == '-' and args.out_item != 'pred':
        args.out = args.out_item = None  # the metrics go there anyway
    args.out_item = check_out(args.out, args.out_item)
    with redirect_stdout(sys.stderr):  # the host's log goes to stdout
        metrics = test(args)
        writes = is_main_process()
        # Without a runner, which has gone with its function.
        leave_process_group()
    if writes:
        # A metric may be a tensor, as a confusion matrix.
        print(json.dumps(metrics, default=lambda value: value.tolist()))


def test(args: argparse.Namespace) -> dict[str, Any]:
    cfg = load_config(args)
    is_local = '://' not in args.checkpoint
    if is_local and not Path(args.checkpoint).expanduser().is_file():
        raise FileNotFoundError(
            f'no checkpoint at {Path(args.checkpoint).absolute()}'
        )
    merge_args(cfg, args)
    runner = build_runner(cfg, ('test_dataloader',))
    if args.out_item == 'pred':
        runner.test_evaluator.metrics.append(
            DumpResults(out_file_path=args.out)
        )
    metrics = runner.test()
    if args.out_item == 'metrics' and is_main_process():
        out = Path(args.out)
        out.parent.mkdir(parents=True, exist_ok=True)
        kind = out.suffix.removeprefix('.')
        write_whole(out, mmengine.dump(metrics, file_format=kind))
    return metrics
