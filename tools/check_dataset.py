"""Look at every image of a config's data sets before hours are spent.

python tools/check_dataset.py configs/vptm_beitv2_cub.py
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# First: it says what to install if MMPretrain is missing.
import vptm_mm  # noqa: F401

# isort: split

from mmengine.config import Config, ConfigDict, DictAction
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS
from rich.console import Console

from vptm_mm.datasets import check_data_roots
from vptm_mm.datasets.check import (
    check_datasets,
    has_problems,
    print_report,
)
from vptm_mm.engine.cfg_options import read_config
from vptm_mm.run_tool import run_tool
from vptm_mm.weights import write_whole

SPLITS = ('train', 'val', 'test')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Look at every image and label of the data sets.',
        epilog='Exit code: 0; 1 if there are problems; 2 if the config or an '
        'option is wrong, a data set cannot be built, or the check fails.',
    )
    parser.add_argument('config', type=Path, help='path of the config')
    parser.add_argument(
        '--workers',
        type=int,
        default=min(8, os.cpu_count() or 1),
        help='processes that read images; 0 reads in this one',
    )
    parser.add_argument(
        '--show', type=int, default=5, help='examples of each finding'
    )
    parser.add_argument(
        '--json', type=Path, metavar='FILE', help='write all findings'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        help='change keys of the config; an unknown key is an error',
    )
    args = parser.parse_args()
    for name in ('workers', 'show'):
        if getattr(args, name) < 0:
            parser.error(f'--{name}={getattr(args, name)} must be >= 0')
    if args.json and not args.json.absolute().parent.is_dir():
        parser.error(f'--json: no folder {args.json.absolute().parent}')
    return args


def loaders_of_hooks(cfg: Config) -> Iterator[tuple[str, ConfigDict]]:
    for part in ('default_hooks', 'custom_hooks'):
        yield from loaders_in(cfg.get(part), part)


def loaders_in(part: Any, name: str) -> Iterator[tuple[str, ConfigDict]]:
    if isinstance(part, dict) and 'dataset' in part:
        yield name, part
    elif isinstance(part, dict):
        for key, value in part.items():
            yield from loaders_in(value, f'{name}.{key}')
    elif isinstance(part, list):
        for number, value in enumerate(part):
            yield from loaders_in(value, f'{name}.{number}')


def check(args: argparse.Namespace) -> bool:
    """Return whether the data sets have no problem."""
    cfg = read_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    own = {name: cfg.get(f'{name}_dataloader') for name in SPLITS}
    of_hooks = dict(loaders_of_hooks(cfg))
    datasets = {}
    for name, loader in {**own, **of_hooks}.items():
        if loader is not None:
            check_data_roots(loader)
            datasets[name] = DATASETS.build(loader.dataset)
    if not datasets:
        raise ValueError(
            'the config has no data set; it takes one of '
            f'{", ".join(f"{name}_dataloader" for name in SPLITS)}.'
        )
    head = (cfg.get('model') or {}).get('head') or {}
    report = check_datasets(
        datasets, head.get('num_classes'), args.workers, [*of_hooks]
    )
    if args.json:
        write_whole(args.json, json.dumps(report, indent=1))
    width = None if sys.stdout.isatty() else 120
    print_report(report, Console(width=width), args.show)
    return not has_problems(report)


def main() -> int:
    return 0 if check(parse_args()) else 1


if __name__ == '__main__':
    run_tool(main)
