"""Make one HTML page of a run; docs/train.md explains it.

vptm report work_dirs/vptm_beitv2_cub
"""

import argparse
import sys
from pathlib import Path

from mmengine.config import Config

from ..report.page import make_page
from ..report.run_folder import RunFolder, read_run
from ..report.tested import Tested, predict_test
from ..run_verb import STDOUT, write_out


def find_tested(
    args: argparse.Namespace, run: RunFolder, cfg: Config | None
) -> Tested | None:
    """Predict the test set, unless the user does not want it.

    Raises:
        FileNotFoundError: If the checkpoint, the config or the test set is
            not there.
        ValueError: If the checkpoint does not fit.
    """
    if args.no_predict:
        return None
    checkpoint = Path(args.checkpoint) if args.checkpoint else run.checkpoint
    if cfg is None or checkpoint is None:
        missing = 'config' if cfg is None else 'checkpoint'
        raise FileNotFoundError(f'the work dir has no {missing}.')
    return predict_test(cfg, checkpoint, args.device, args.mistakes)


def run(args: argparse.Namespace) -> None:
    """Run ``vptm report``."""
    if args.checkpoint and not Path(args.checkpoint).is_file():
        raise FileNotFoundError(
            f'no checkpoint at {Path(args.checkpoint).absolute()}'
        )
    run = read_run(args.work_dir)
    cfg = None if run.config is None else Config.fromfile(run.config)
    tested, problem = None, ''
    try:
        tested = find_tested(args, run, cfg)
    except (FileNotFoundError, ValueError) as error:
        problem = f'No predictions: {error}'
        print(problem, file=sys.stderr)
    page = make_page(run, cfg, tested, problem)
    out = Path(args.out) if args.out else run.folder / 'report.html'
    out.parent.mkdir(parents=True, exist_ok=True)
    write_out(out, page)
    if str(out) != STDOUT:
        print(f'wrote {out}')
