"""Classify images by one or several task files on one frozen backbone.

vptm predict IMAGES_OR_FOLDERS --task birds.safetensors
"""

import argparse
import csv
import io
import itertools
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

import numpy as np
from rich.console import Console
from rich.table import Table

from ..datasets import EXTENSIONS, describe_skipped, find_files
from ..progress import progress
from ..tasks import VPTMTaskPool
from ..tasks.pool import Prediction, PreparedImage
from ..weights import write_whole


def find_images(paths: list[Path]) -> list[Path]:
    """List images; a folder gives those below it, sorted."""
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside, others = find_files(path)
        if skipped := describe_skipped(path, others):
            print(skipped, file=sys.stderr)
        if not inside:
            raise FileNotFoundError(
                f'no image below {path.absolute()}; looked for '
                f'{sorted(EXTENSIONS)}'
            )
        found += inside
    return found


def read_batches(
    pool: VPTMTaskPool, paths: list[Path], size: int, errors: dict[str, str]
) -> Iterator[tuple[list[Path], list[PreparedImage]]]:
    """Prepare images in batches; what is unreadable goes to ``errors``."""
    shown = progress(paths, 'Images', disable=len(paths) < 2)
    readable = _read(pool, shown, errors)
    while batch := list(itertools.islice(readable, size)):
        names, images = zip(*batch, strict=True)
        yield list(names), list(images)


def _read(
    pool: VPTMTaskPool, paths: Iterable[Path], errors: dict[str, str]
) -> Iterator[tuple[Path, PreparedImage]]:
    for path in paths:
        try:
            yield path, pool.prepare(path, list(pool.tasks))
        except (OSError, ValueError) as error:
            errors[str(path)] = str(error)
            print(f'{path}: {error}', file=sys.stderr)


def top(result: Prediction, classes: tuple[str, ...], k: int) -> list[dict]:
    order = np.argsort(-result['pred_scores'], kind='stable')[:k]
    return [
        {'class': classes[i], 'confidence': float(result['pred_scores'][i])}
        for i in order
    ]


def format_of(args: argparse.Namespace) -> str:
    """Return ``--format``, or what the suffix of ``--out`` says."""
    suffix = args.out.suffix.removeprefix('.').lower() if args.out else ''
    if args.format is None and suffix in ('json', 'csv'):
        return suffix
    return args.format or 'table'


def write_rows(
    rows: list[dict], errors: dict[str, str], kind: str, out: TextIO
) -> None:
    if kind == 'json':
        content = dict(predictions=rows, errors=errors)
        # An escape of another kind would be no JSON.
        is_unicode = (out.encoding or 'utf-8').lower().startswith('utf')
        text = json.dumps(content, indent=2, ensure_ascii=not is_unicode)
        out.write(f'{text}\n')
        return
    flat = [
        (row['image'], row['task'], rank, p['class'], p['confidence'])
        for row in rows
        for rank, p in enumerate(row['top'], 1)
    ]
    header = ('image', 'task', 'rank', 'class', 'confidence')
    if kind == 'csv':
        csv.writer(out, lineterminator='\n').writerows([header, *flat])
        return
    table = Table(*header)
    for image, task, rank, name, share in flat:
        table.add_row(image, task, str(rank), name, f'{share:.1%}')
    width = None if out.isatty() else 160
    Console(file=out, width=width).print(table, markup=False)


def run(args: argparse.Namespace) -> int:
    """Run ``vptm predict``."""
    paths = find_images(args.images)
    if args.out == Path('-'):
        args.out = None
    if args.out and not args.out.absolute().parent.is_dir():
        raise FileNotFoundError(f'no folder {args.out.absolute().parent}')
    pool = VPTMTaskPool.from_files(args.task, args.weights).to(args.device)
    names = list(pool.tasks)
    errors: dict[str, str] = {}
    rows = []
    for images, batch in read_batches(pool, paths, args.batch_size, errors):
        results = pool.classify(batch)
        rows += [
            dict(
                image=str(image),
                task=name,
                top=top(result[name], pool.tasks[name].classes, args.topk),
            )
            for image, result in zip(images, results, strict=True)
            for name in names
        ]
    if args.out:
        text = io.StringIO()
        write_rows(rows, errors, format_of(args), text)
        # What is not text in the name of a file is escaped.
        content = text.getvalue().encode(errors='backslashreplace')
        write_whole(args.out, content)
    else:
        write_rows(rows, errors, format_of(args), sys.stdout)
    if errors:
        print(
            f'{len(errors)} of {len(paths)} images were unreadable.',
            file=sys.stderr,
        )
    return int(bool(errors))
