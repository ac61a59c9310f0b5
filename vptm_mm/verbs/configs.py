"""List the configs that come with the package; copy one to edit.

vptm configs '*cub*'
vptm configs --copy vptm_beitv2_cub my_cub.py
"""

import argparse
import fnmatch
import sys
from pathlib import Path

from ..model_index import config_path, config_paths
from ..weights import write_whole


def run(args: argparse.Namespace) -> int:
    """Run ``vptm configs``."""
    if args.copy:
        copy(*args.copy)
        return 0
    pattern = args.pattern if '*' in args.pattern else f'*{args.pattern}*'
    found = [
        path for path in config_paths() if fnmatch.fnmatch(path.stem, pattern)
    ]
    for path in found:
        summary = path.read_text(encoding='utf-8').split('\n', 1)[0]
        print(f'{path.stem:<42} {summary.strip(chr(34))}')
    if not found:
        print(f'no config is named {pattern!r}.', file=sys.stderr)
    return 0 if found else 1


def copy(name: str, target: str) -> None:
    """Write a config that inherits one of the package's."""
    base = config_path(name)
    file = Path(target).expanduser()
    if file.exists():
        raise FileExistsError(f'{file} is there already; choose another name.')
    write_whole(file, f'_base_ = {str(base)!r}\n')
    print(f'{file} inherits {base}')
