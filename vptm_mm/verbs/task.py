"""Make, read and verify task files: what one task adds to a frozen backbone.

vptm task export CHECKPOINT --out birds.safetensors
vptm task export birds.safetensors --out checkpoint.pth
vptm task info birds.safetensors
vptm task check birds.safetensors --weights beitv2.pth
"""

import argparse
import sys
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from ..engine.cfg_options import open_config
from ..tasks import (
    load_classifier,
    make_task,
    name_and_path,
    open_task,
    read_task,
    task_state,
    write_task,
)
from ..weights import open_whole
from ..weights.checkpoint_file import SUFFIX


def export(args: argparse.Namespace) -> None:
    if not args.out.absolute().parent.is_dir():
        raise FileNotFoundError(f'no folder {args.out.absolute().parent}')
    if args.source.endswith(SUFFIX):
        task_to_checkpoint(args)
    else:
        checkpoint_to_task(args)
    print(f'{args.out}: {args.out.stat().st_size / 1e3:,.1f} kB')


def checkpoint_to_task(args: argparse.Namespace) -> None:
    config = open_config(args.config, args.source, args.cfg_options)
    if args.weights is not None:
        config.model.backbone.init_cfg = dict(
            type='Pretrained', checkpoint=args.weights
        )
    model = load_classifier(config, args.source, device='cpu')
    write_task(make_task(model, config), args.out)


def task_to_checkpoint(args: argparse.Namespace) -> None:
    if args.out.suffix == SUFFIX:
        raise ValueError(
            f'--out {args.out} must not end in {SUFFIX}: a task file becomes '
            'a checkpoint, as in --out whole.pth.'
        )
    task = read_task(args.source)
    model = load_classifier(task, weights=args.weights, device='cpu')
    meta = dict(dataset_meta=dict(classes=task.classes))
    with open_whole(args.out) as file:
        torch.save(dict(meta=meta, state_dict=model.state_dict()), file)


def info(args: argparse.Namespace) -> None:
    name, path = name_and_path(args.task)
    task = open_task(path)
    table = Table(title=name, show_header=False)
    rows = {
        'file': str(path),
        'made by': f'vptm_mm {task.version}',
        'trained tensors': f'{task.num_bytes / 1e3:,.1f} kB',
        'frozen sha256': task.frozen_sha256,
        'weights': task.weights or 'not said',
        'classes': _shorten(task.classes),
        'backbone': _options(task.backbone, {'encoder'}),
        'encoder': _options(task.backbone['encoder'], set()),
        'head': _options(task.head, set()),
        'normalisation': _options(task.data_preprocessor, set()),
        'pipeline': '\n'.join(_options(t, set()) for t in task.pipeline),
        'tensors': '\n'.join(
            f'{name} {tuple(tensor.shape)} {tensor.dtype}'
            for name, tensor in sorted(task.tensors.items())
        ),
    }
    for name, value in rows.items():
        table.add_row(name, str(value))
    Console(width=None if sys.stdout.isatty() else 120).print(
        table, markup=False, highlight=False
    )


def _options(cfg: Any, hidden: set) -> str:
    if not isinstance(cfg, dict):
        return str(cfg)
    shown = [f'{k}={v}' for k, v in cfg.items() if k not in {'type', *hidden}]
    return f'{cfg.get("type", "")} {", ".join(shown)}'.strip()


def _shorten(names: tuple[str, ...]) -> str:
    shown = ', '.join(names[:10])
    return f'{len(names)}: {shown}{", ..." if len(names) > 10 else ""}'


def check(args: argparse.Namespace) -> None:
    name, path = name_and_path(args.task)
    task = open_task(path)
    model = load_classifier(task, weights=args.weights, device='cpu')
    loaded = task_state(model)
    for key, tensor in task.tensors.items():
        if not torch.equal(loaded[key], tensor):
            raise ValueError(f'{key} was not loaded to the bit.')
    encoder = model.backbone.encoder
    with torch.no_grad():
        scores = model(torch.zeros(1, *encoder.input_shape))
    if not scores.isfinite().all():
        raise ValueError(f'scores of a black image are not finite: {scores}')
    print(
        f'{name} ({path}) fits its backbone (sha256 {task.frozen_sha256}) and '
        f'gives {scores.shape[1]} finite scores.'
    )


def run(args: argparse.Namespace) -> None:
    """Run ``vptm task``."""
    dict(export=export, info=info, check=check)[args.command](args)
