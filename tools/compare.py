"""Compare methods: data sets x methods x seeds, rates chosen on validation.

python tools/compare.py configs/compare/digits.yml
python tools/compare.py --axes prompt_length,prompt_blocks,prototype_dim

Started again, it continues. Started several times on one ``--storage``, the
workers share the runs. See docs/compare.md.
"""

import argparse
import signal
import sys
from dataclasses import replace
from pathlib import Path

# First: it says what to install if MMPretrain is missing.
import vptm_mm  # noqa: F401

# isort: split

from mmengine.config import DictAction
from mmengine.logging import MMLogger

from vptm_mm.compare.pairs import make_pairs
from vptm_mm.compare.plan import Plan
from vptm_mm.compare.plan_file import load_plan
from vptm_mm.compare.report import write_report
from vptm_mm.compare.search import PRESETS
from vptm_mm.compare.study import Studies, sqlite_url
from vptm_mm.compare.worker import Worker
from vptm_mm.run_tool import run_tool

CONFIGS = Path(__file__).parents[1] / 'configs'
DEFAULT = CONFIGS / 'compare' / 'digits.yml'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'plan', nargs='?', type=Path, default=DEFAULT, help='YAML file'
    )
    parser.add_argument(
        '--methods', nargs='+', help="names of the plan's, or config files"
    )
    parser.add_argument(
        '--datasets', nargs='+', help="names of the plan's, or config files"
    )
    parser.add_argument('--seeds', type=int, help='final runs of each')
    parser.add_argument(
        '--search',
        metavar='PRESET',
        help=f'for all methods, one of {", ".join(PRESETS)}',
    )
    parser.add_argument(
        '--learning-rates',
        type=float,
        nargs='+',
        help='of the search, for all methods; what else it is stays',
    )
    parser.add_argument(
        '--search-on',
        metavar='NAME',
        help="the data set that chooses for all of them; '' for a search on "
        'each',
    )
    parser.add_argument(
        '--axes',
        metavar='NAME,NAME',
        help='draw accuracy along axes of the plan, in place of its table',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        help='change keys of every config, whatever cfg_options of the plan '
        'say; an unknown key, and one that is searched, is an error',
    )
    parser.add_argument(
        '--work-dir',
        type=Path,
        help='logs and report; work_dirs/compare_NAME by default',
    )
    parser.add_argument(
        '--storage',
        metavar='URL',
        help='database that workers and comparisons share; SQLite in the work '
        'dir by default',
    )
    parser.add_argument(
        '--stale-after',
        type=int,
        default=60,
        help='seconds without a sign of life after which the run of another '
        'worker is given free',
    )
    parser.add_argument(
        '--retry-failed', action='store_true', help='run failed runs again'
    )
    parser.add_argument(
        '--report-only', action='store_true', help='run nothing'
    )
    args = parser.parse_args()
    if args.stale_after < 5:
        parser.error(
            f'--stale-after {args.stale_after} must be at least 5 seconds: '
            'workers that are alive write six times in that time.'
        )
    return args


def make_plan(args: argparse.Namespace) -> Plan:
    plan = load_plan(args.plan, CONFIGS)
    if args.seeds is not None:
        if args.seeds < 1:
            raise ValueError(f'--seeds {args.seeds} must be >= 1.')
        plan = replace(plan, seeds=args.seeds)
    folders = (Path(), args.plan.parent, CONFIGS)
    if args.methods is not None:
        plan = plan.select_methods(args.methods, folders)
    if args.datasets is not None:
        plan = plan.select_datasets(args.datasets, folders)
    if args.search or args.learning_rates:
        plan = plan.searched(args.search, args.learning_rates or ())
    if args.search_on is not None:
        plan = replace(plan, search_on=args.search_on)
    plan = replace(plan, overrides=args.cfg_options)
    if args.axes is not None:
        return plan.along(args.axes.split(','))
    return replace(plan, axes=())


def main() -> None:
    args = parse_args()
    # A job that its scheduler ends gives its run back.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    plan = make_plan(args)
    work_dir = args.work_dir or Path('work_dirs') / f'compare_{plan.name}'
    # For each method the host would tell which variables its config reads.
    MMLogger.get_current_instance().setLevel('WARNING')
    pairs = make_pairs(plan)
    storage = args.storage or sqlite_url(work_dir / 'study.db')
    studies = Studies(storage, plan.name, args.stale_after)
    worker = Worker(studies, pairs, work_dir)
    if args.retry_failed:
        worker.retry_failed()
    if not args.report_only:
        worker.run()
    for path in write_report(pairs, studies, work_dir / 'report'):
        print(path)


if __name__ == '__main__':
    run_tool(main)
