"""Compute the visual tokens of a teacher once, and keep them.

python tools/keep_tokens.py configs/pretrain/beitv2-mini_tinyimagenet.py

Reads ``kept_tokens`` of the config, the arguments of ``keep_tokens`` in
``vptm_mm/pretraining/keep_tokens.py``. Stopped and started again, it computes
what is left. See docs/pretraining.md.
"""

import argparse
from pathlib import Path

# First: it says what to install if MMPretrain is missing.
import vptm_mm  # noqa: F401

# isort: split

from mmengine.config import DictAction
from mmengine.registry import init_default_scope

from vptm_mm.engine.cfg_options import read_config
from vptm_mm.pretraining.keep_tokens import keep_tokens
from vptm_mm.run_tool import run_tool


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', type=Path, help='path of the config')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        help='change keys of the config; an unknown key is an error',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = read_config(args.config, args.cfg_options)
    if 'kept_tokens' not in cfg:
        raise ValueError(
            f'{args.config} has no kept_tokens, the arguments of keep_tokens.'
        )
    init_default_scope('mmpretrain')
    keep_tokens(**cfg.kept_tokens.to_dict())


if __name__ == '__main__':
    run_tool(main)
