"""Look at every image of a config's data sets before hours are spent.

vptm check vptm_beitv2_cub
"""

import argparse
import json
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS

from ..datasets import check_data_roots
from ..datasets.check import check_datasets, describe, has_problems
from ..engine.cfg_options import read_config
from ..run_verb import STDOUT, write_out

SPLITS = ('train', 'val', 'test')


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


def run(args: argparse.Namespace) -> int:
    """Run ``vptm check``."""
    if args.out and not args.out.absolute().parent.is_dir():
        raise FileNotFoundError(f'no folder {args.out.absolute().parent}')
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
    if args.out:
        write_out(args.out, json.dumps(report, indent=1) + '\n')
    if str(args.out) == STDOUT:
        return int(has_problems(report))
    for line in describe(report, args.show):
        print(line)
    return int(has_problems(report))
