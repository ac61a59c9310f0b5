"""Make one HTML page of a run; docs/train.md explains it.

vptm report work_dirs/vptm_beitv2_cub
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .. import report
from .write_out import STDOUT, write_out


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


def run(args: argparse.Namespace) -> None:
    """Run ``vptm report``."""
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
    write_out(out, page)
    for problem in problems:
        print(problem, file=sys.stderr)
    if str(out) != STDOUT:
        print(f'wrote {out}')
