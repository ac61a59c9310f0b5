"""Make, read and verify task files: what one task adds to a frozen backbone.

python tools/task.py export CHECKPOINT --config CONFIG --out birds.safetensors
python tools/task.py export birds.safetensors --out checkpoint.pth
python tools/task.py info birds.safetensors
python tools/task.py check birds.safetensors --weights beitv2.pth
"""

import argparse
import sys
from pathlib import Path
from typing import Any

# First: it says what to install if MMPretrain is missing.
import vptm_mm  # noqa: F401

# isort: split

import torch
from mmengine.config import DictAction
from rich.console import Console
from rich.table import Table

from vptm_mm.engine.cfg_options import read_config
from vptm_mm.run_tool import run_tool
from vptm_mm.tasks import (
    classifier_of,
    load_classifier,
    make_task,
    name_and_path,
    read_task,
    task_state,
    write_task,
)
from vptm_mm.weights import open_whole
from vptm_mm.weights.checkpoint_file import SUFFIX


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest='command', required=True)
    export = commands.add_parser(
        'export', help='checkpoint to task file, or task file to checkpoint'
    )
    export.add_argument('source', help='checkpoint, or task file')
    export.add_argument('--config', help='config of the checkpoint')
    export.add_argument('--out', type=Path, required=True)
    info = commands.add_parser('info', help='show what a task file holds')
    check = commands.add_parser(
        'check', help='load a task on its backbone and run it'
    )
    for command in (info, check):
        command.add_argument('task', metavar='[NAME=]FILE', help='task file')
    export.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        help='change keys of --config, as in training',
    )
    for command in (export, check):
        command.add_argument(
            '--weights',
            help='path or address of the pre-trained weights; those that the '
            'config or the task names by default',
        )
    return parser.parse_args()


def export(args: argparse.Namespace) -> None:
    if not args.out.absolute().parent.is_dir():
        raise FileNotFoundError(f'no folder {args.out.absolute().parent}')
    if args.source.endswith(SUFFIX):
        task_to_checkpoint(args)
    else:
        checkpoint_to_task(args)
    print(f'{args.out}: {args.out.stat().st_size / 1e3:,.1f} kB')


def checkpoint_to_task(args: argparse.Namespace) -> None:
    if args.config is None:
        raise ValueError(
            '--config is needed to make a task of a checkpoint; it is in the '
            'work dir of the checkpoint.'
        )
    config = read_config(args.config, args.cfg_options)
    if args.weights is not None:
        config.model.backbone.init_cfg = dict(
            type='Pretrained', checkpoint=args.weights
        )
    model = load_classifier(config, args.source)
    write_task(make_task(model, config), args.out)


def task_to_checkpoint(args: argparse.Namespace) -> None:
    if args.out.suffix == SUFFIX:
        raise ValueError(
            f'--out {args.out} must not end in {SUFFIX}: a task file becomes '
            'a checkpoint, as in --out whole.pth.'
        )
    task = read_task(args.source)
    model = classifier_of(task, args.weights)
    meta = dict(dataset_meta=dict(classes=task.classes))
    with open_whole(args.out) as file:
        torch.save(dict(meta=meta, state_dict=model.state_dict()), file)


def info(args: argparse.Namespace) -> None:
    name, path = name_and_path(args.task)
    task = read_task(path)
    table = Table(title=name, show_header=False)
    rows = {
        'file': str(path),
        'made by': f'vptm_mm {task.version}',
        'tuned tensors': f'{task.num_bytes / 1e3:,.1f} kB',
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
    task = read_task(path)
    model = classifier_of(task, args.weights)
    loaded = task_state(model)
    for key, tensor in task.tensors.items():
        if not torch.equal(loaded[key], tensor):
            raise ValueError(f'{key} was not loaded to the bit.')
    encoder = model.backbone.encoder
    channels = encoder.patch_embed.projection.in_channels
    with torch.no_grad():
        scores = model(torch.zeros(1, channels, *encoder.img_size))
    if not scores.isfinite().all():
        raise ValueError(f'scores of a black image are not finite: {scores}')
    print(
        f'{name} ({path}) fits its backbone (sha256 {task.frozen_sha256}) and '
        f'gives {scores.shape[1]} finite scores.'
    )


def main() -> None:
    args = parse_args()
    dict(export=export, info=info, check=check)[args.command](args)


if __name__ == '__main__':
    run_tool(main)
