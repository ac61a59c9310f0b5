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
from ..compare.plan import Plan, load_plan
from ..compare.report import write_report
from ..compare.study import Studies
from ..compare.worker import Worker
from ..model_index import root


def make_plan(args: argparse.Namespace) -> Plan:
    configs = root() / 'configs'
    path = Path(args.plan)
    if not path.suffix and not path.is_file():
        path = configs / 'compare' / f'{args.plan}.yml'
    plan = load_plan(
        path,
        configs,
        methods=args.methods,
        datasets=args.datasets,
        axes=() if args.axes is None else args.axes.split(','),
        search=args.search,
        learning_rates=args.learning_rates,
        seeds=args.seeds,
        search_on=args.search_on,
    )
    return replace(plan, overrides=args.cfg_options)


def run(args: argparse.Namespace) -> None:
    """Run ``vptm compare``."""
    # A job that its scheduler ends gives its run back.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if ':/' in str(args.storage):  # as Path writes ://
        raise ValueError(
            f'--storage {args.storage} must be a file, a journal of Optuna; '
            'databases of before are not read.'
        )
    plan = make_plan(args)
    work_dir = args.work_dir or Path('work_dirs') / f'compare_{plan.name}'
    pairs = make_pairs(plan)
    journal = args.storage or work_dir / 'study.log'
    studies = Studies(journal, args.stale_after, args.retry_failed)
    if not args.report_only:
        Worker(studies, pairs, work_dir).run()
    for path in write_report(pairs, studies, work_dir / 'report'):
        print(path)
