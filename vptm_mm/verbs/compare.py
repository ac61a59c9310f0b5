"""Compare methods: data sets x methods x seeds, rates chosen on validation.

vptm compare digits
vptm compare --axes prompt_length,prompt_blocks,prototype_dim

Started again, it continues. Started several times on one ``--storage``, the
workers share the runs. See docs/compare.md.
"""

import argparse
import signal
import sys
from dataclasses import replace
from pathlib import Path

from ..compare.pairs import make_pairs
from ..compare.plan import Plan
from ..compare.plan_file import load_plan
from ..compare.report import write_report
from ..compare.study import Studies, sqlite_url
from ..compare.worker import Worker
from ..model_index import root


def make_plan(args: argparse.Namespace) -> Plan:
    configs = root() / 'configs'
    path = Path(args.plan)
    if not path.suffix and not path.is_file():
        path = configs / 'compare' / f'{args.plan}.yml'
    plan = load_plan(path, configs)
    if args.seeds is not None:
        plan = replace(plan, seeds=args.seeds)
    folders = (Path(), path.parent, configs)
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


def run(args: argparse.Namespace) -> None:
    """Run ``vptm compare``."""
    # A job that its scheduler ends gives its run back.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    plan = make_plan(args)
    work_dir = args.work_dir or Path('work_dirs') / f'compare_{plan.name}'
    pairs = make_pairs(plan)
    storage = args.storage or sqlite_url(work_dir / 'study.db')
    studies = Studies(storage, args.stale_after)
    worker = Worker(studies, pairs, work_dir)
    if args.retry_failed:
        worker.retry_failed()
    if not args.report_only:
        worker.run()
    for path in write_report(pairs, studies, work_dir / 'report'):
        print(path)
