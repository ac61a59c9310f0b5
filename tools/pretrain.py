"""Pre-train a BEiT v2 in rounds, without labels and without CLIP.

IMAGE_FOLDER=path/to/images python tools/pretrain.py \
    configs/pretrain/beitv2-tiny_folder.py --tokens patches features features

Started again, it continues where it stopped. See docs/pretraining.md.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

# First: it says what to install if MMPretrain is missing.
import vptm_mm  # noqa: F401

# isort: split

from mmengine.config import Config, DictAction

from vptm_mm.engine.cfg_options import merge_cfg_options
from vptm_mm.pretraining.card import write_card
from vptm_mm.pretraining.rounds import (
    TOKENS,
    Step,
    export_name,
    plan_steps,
)

TRAIN = Path(__file__).parent / 'train.py'
# Seconds that other processes wait for the file that rank 0 writes.
PATIENCE = 600


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', type=Path, help='config of the first round')
    parser.add_argument(
        '--tokens',
        nargs='+',
        choices=TOKENS,
        default=['patches', 'features', 'features'],
        help='what each round predicts: groups of pixels, groups of features '
        'of the round before, or tokens distilled from it (VQ-KD)',
    )
    parser.add_argument(
        '--block',
        type=int,
        help='block of the last backbone whose states are read, counted from '
        '0; the middle one by default',
    )
    parser.add_argument(
        '--work-dir', type=Path, help='work_dirs/CONFIG_rounds by default'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        help='change keys of the config of the first round, which the others '
        'are made of; an unknown key is an error',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    if not args.config.is_file():
        raise FileNotFoundError(f'no config at {args.config.absolute()}')
    if args.work_dir is None:
        args.work_dir = Path('work_dirs') / f'{args.config.stem}_rounds'
    return args


def run_step(step: Step, cfg: Config, args: argparse.Namespace) -> Path:
    """Train one step, or what is left of it; return the file it exports.

    Raises:
        ValueError: If the folder holds a step of other settings.
        RuntimeError: If the training fails.
    """
    folder = args.work_dir / step.name
    # Not in its folder: there the runner writes a file of the same name.
    config = args.work_dir / f'{step.name}.py'
    export = folder / export_name(cfg)
    folder.mkdir(parents=True, exist_ok=True)
    text = cfg.pretty_text
    if not config.exists() and is_first():
        config.write_text(text, encoding='utf-8')
    wait_for(config)
    if config.read_text(encoding='utf-8') != text:
        raise ValueError(
            f'{config} holds other settings than these; give another '
            '--work-dir, or remove it and the folder of its name.'
        )
    if not export.exists():
        command = [sys.executable, str(TRAIN), str(config)]
        command += ['--work-dir', str(folder), '--resume']
        command += ['--launcher', args.launcher]
        command += ['--local-rank', str(args.local_rank)]
        code = subprocess.run(command).returncode
        if code:
            sys.exit(code)
        wait_for(export)
    return export


def wait_for(path: Path) -> None:
    """Wait until rank 0 has written a file."""
    end = time.monotonic() + PATIENCE
    while not path.exists():
        if time.monotonic() > end:
            raise RuntimeError(
                f'{path} has not been written within {PATIENCE} s; do all '
                'processes see the same work dir?'
            )
        time.sleep(0.2)


def is_first() -> bool:
    """Whether this is the process that writes."""
    rank = os.environ.get('RANK', os.environ.get('SLURM_PROCID', '0'))
    return rank == '0'


def main() -> None:
    args = parse_args()
    cfg = Config.fromfile(args.config)
    merge_cfg_options(cfg, args.cfg_options)
    backbone = last = None
    for step in plan_steps(args.tokens, args.block):
        print(f'== {step.name} ==', flush=True)
        step_cfg = step.make_config(cfg, backbone, last)
        last = run_step(step, step_cfg, args)
        if not step.name.endswith('-tokenizer'):
            backbone = last
            if is_first():
                kind = step.name.partition('_')[2]
                card = write_card(last.parent, last.name, kind)
                print(f'Backbone {backbone}; its card: {card}', flush=True)


if __name__ == '__main__':
    main()
