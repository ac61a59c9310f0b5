"""Make one HTML page of a run; docs/train.md explains it.

python tools/report.py work_dirs/vptm_beitv2_cub
"""

import argparse
import sys
from pathlib import Path
from typing import Any

# First: it says what to install if MMPretrain is missing.
import vptm_mm  # noqa: F401

# isort: split

import torch
from mmengine.config import Config

from vptm_mm import report
from vptm_mm.run_tool import run_tool
from vptm_mm.weights import write_whole


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Make one HTML page of a run. The config in the work dir '
        'is run as Python, as by the other tools: take work dirs only from '
        'people whose code you would run.'
    )
    parser.add_argument('work_dir', help='work dir of tools/train.py')
    parser.add_argument(
        '--out', help='the page; report.html in the work dir by default'
    )
    parser.add_argument(
        '--checkpoint',
        help='checkpoint or task file that predicts the test set; by default '
        'the tested or best one of the work dir',
    )
    parser.add_argument(
        '--no-predict',
        action='store_true',
        help='show only predictions that are in the work dir',
    )
    parser.add_argument(
        '--mistakes', type=int, default=24, help='images of mistakes'
    )
    parser.add_argument(
        '--device',
        default='cuda' if torch.cuda.is_available() else 'cpu',
        help='where the model runs',
    )
    return parser.parse_args()


def find_tested(
    args: argparse.Namespace,
    run: report.RunFolder,
    cfg: Config | None,
    problems: list[str],
) -> report.Tested | None:
    """Read predictions, or predict; say in the page why there are none."""
    checkpoint = run.checkpoint
    if args.checkpoint:
        checkpoint = Path(args.checkpoint)
        if not checkpoint.is_file():
            raise FileNotFoundError(
                f'no checkpoint at {checkpoint.absolute()}'
            )
    path = run.folder / report.FILENAME
    tested = report.read_tested(path, checkpoint)
    if tested is not None or args.no_predict:
        return tested
    if cfg is None or checkpoint is None:
        problems.append(
            'No predictions: the work dir has no '
            + ('config.' if cfg is None else 'checkpoint.')
        )
        return None
    try:
        tested = report.predict_test(cfg, checkpoint, args.device)
    except (FileNotFoundError, ValueError) as error:
        problems.append(f'No predictions: {error}')
        return None
    report.write_tested(tested, path)
    return tested


def find_pictures(
    tested: report.Tested, cfg: Config | None, limit: int, problems: list[str]
) -> list[tuple[int, str | None]]:
    worst = tested.worst(limit)
    uris: list[str | None] = [None] * len(worst)
    if cfg is not None and worst:
        try:
            dataset: Any = report.open_test_set(cfg)
        except (FileNotFoundError, ValueError) as error:
            problems.append(f'No images: {error}')
        else:
            uris = report.picture_uris(dataset, worst)
    return list(zip(worst, uris, strict=True))


def main() -> None:
    args = parse_args()
    if args.mistakes < 0:
        raise ValueError(f'--mistakes={args.mistakes} must be >= 0.')
    run = report.read_run(args.work_dir)
    cfg = None if run.config is None else Config.fromfile(run.config)
    problems: list[str] = []
    tested = find_tested(args, run, cfg, problems)
    pictures = (
        find_pictures(tested, cfg, args.mistakes, problems) if tested else []
    )
    page = report.make_page(run, cfg, tested, pictures, problems)
    out = Path(args.out) if args.out else run.folder / 'report.html'
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, page.encode(errors='backslashreplace'))
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f'wrote {out}')


if __name__ == '__main__':
    run_tool(main)
