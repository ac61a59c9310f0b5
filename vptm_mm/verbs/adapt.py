"""Turn a folder of images into a task file.

vptm adapt path/to/images
"""

import argparse
import shlex
import sys

from rich.console import Console
from rich.table import Table

from ..adaptation import SPLITS, Adapted, adapt

SHOWN = 5  # confusions


def run(args: argparse.Namespace) -> None:
    """Run ``vptm adapt``."""
    adapted = adapt(
        args.folder,
        args.weights,
        epochs=args.epochs,
        masks=args.masks,
        out=args.out,
        seed=args.seed,
        device=args.device,
    )
    show(adapted, args)


def show(adapted: Adapted, args: argparse.Namespace) -> None:
    """Print what adapting to a folder gave, and what to do next."""
    console = Console(width=None if sys.stdout.isatty() else 100)
    table = Table('class', *SPLITS, title='Images')
    for label, name in enumerate(adapted.classes):
        counts = [str(adapted.images[split][label]) for split in SPLITS]
        table.add_row(name, *counts)
    console.print(table, markup=False)
    rows = {'Without training': adapted.start}
    if adapted.helped:
        rows[f'Epochs of prompt tuning: {args.epochs}'] = adapted.accuracy
    rows['Yardstick: logistic regression'] = adapted.probe
    rows['Yardstick: SVM, no backbone'] = adapted.svm
    for name, accuracy in rows.items():
        print(f'{name + ":":<32} {accuracy}')
    for true, said, count in adapted.confusions[:SHOWN]:
        images = 'image' if count == 1 else 'images'
        print(f'  {count} {images} of {true}: taken for {said}')
    if args.epochs and not adapted.helped:
        print('Training lost on validation images: the task is without it.')
    if adapted.repeated:
        print(
            f'Warning: images in more than one split: {adapted.repeated}; '
            'the accuracy may be too high.',
            file=sys.stderr,
        )
    if adapted.svm.clearly_exceeds(adapted.accuracy):
        print(
            'The SVM is better: give a larger backbone by --weights '
            '(docs/train.md), or tune by --epochs.',
            file=sys.stderr,
        )
    size = adapted.path.stat().st_size / 1e3
    print(f'{adapted.path}: {size:,.1f} kB, in {adapted.seconds:.0f} s.')
    if not args.epochs:
        again = ['vptm', *sys.argv[1:], '--epochs', '20']
        print(f'Tune it: {shlex.join(again)}')
    print(
        f'Use it:  vptm predict IMAGE --task {shlex.quote(str(adapted.path))}'
    )
