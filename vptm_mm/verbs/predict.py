"""Classify images by one or several task files on one frozen backbone.

vptm predict IMAGES_OR_FOLDERS --task birds.safetensors
"""

import argparse
import itertools
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from ..image_files import EXTENSIONS, describe_skipped, is_image, walk_files
from ..progress import progress
from ..tasks import VPTMTaskPool, name_files, open_task
from ..tasks.pool import Prediction, PreparedImage
from .predict_by_server import predict_by_server, tasks_of_server
from .prediction_files import FORMATS, RESUMABLE, as_text, open_predictions

# By task, the likeliest classes of an image, each with its confidence.
Tops = dict[str, list[dict]]


class PoolPredictor:
    """A pool in this process, and a data set of images by their paths.

    Args:
        files: Task files, as ``VPTMTaskPool.from_files`` takes them.
        weights: As there.
        topk: How many classes of an image are kept.
    """

    def __init__(self, files: Any, weights: str | None, topk: int) -> None:
        self.pool = VPTMTaskPool.from_files(files, weights)
        self.topk = topk

    def __getitem__(self, path: Path) -> tuple[str, Any]:
        """Prepare an image, or say as text what is wrong.

        Its inputs are arrays: a tensor from another process would hold an
        open file, and shared memory, of which a container has little.
        """
        try:
            image = self.pool.prepare(path, list(self.pool.tasks))
        except (OSError, ValueError) as error:
            return str(path), str(error)
        arrays = [x.cpu().numpy() for x in image.inputs]
        return str(path), (replace(image, inputs=[]), arrays)

    def classify(
        self, images: list[tuple[PreparedImage, list[np.ndarray]]]
    ) -> list[Tops]:
        prepared = [
            replace(image, inputs=[torch.from_numpy(x) for x in arrays])
            for image, arrays in images
        ]
        return [
            {name: self._top(name, one) for name, one in result.items()}
            for result in self.pool.classify(prepared)
        ]

    def _top(self, name: str, prediction: Prediction) -> list[dict]:
        classes = self.pool.tasks[name].classes
        scores = prediction['pred_scores']
        order = np.argsort(-scores, kind='stable')[: self.topk]
        return [
            {'class': classes[i], 'confidence': float(scores[i])}
            for i in order
        ]


def count_images(paths: list[Path]) -> int:
    """Count images; say which files of a folder are not read."""
    total = 0
    for path in paths:
        if not path.is_dir():
            total += 1
            continue
        inside, others = 0, []
        for file in walk_files(path):
            if is_image(file):
                inside += 1
            else:
                others.append(file)
        if skipped := describe_skipped(path, others):
            print(skipped, file=sys.stderr)
        if not inside:
            raise FileNotFoundError(
                f'no image below {path.absolute()}; looked for '
                f'{sorted(EXTENSIONS)}'
            )
        total += inside
    return total


def find_images(paths: list[Path]) -> Iterator[Path]:
    """Yield images; a folder gives those below it, as ``walk_files`` does."""
    for path in paths:
        if path.is_dir():
            yield from filter(is_image, walk_files(path))
        else:
            yield path


def skip_written(
    images: Iterator[Path], written: Iterable[dict], out: Path | None
) -> tuple[int, int]:
    """Take from ``images`` those whose rows are written.

    Returns:
        How many they are, and how many of them were unreadable.

    Raises:
        ValueError: If they are others, or in another order.
    """
    count = errors = 0
    for row in written:
        image = next(images, None)
        if image is None or as_text(row['image']) != as_text(str(image)):
            here = 'there are no more here'
            if image:
                here = f'the images here with {str(image)!r}'
            raise ValueError(
                f'{out} goes on with {row["image"]!r} after {count} images, '
                f'and {here}; give the images that it was begun with, or '
                'another --out.'
            )
        count += 1
        errors += 'error' in row
    return count, errors


def in_batches(paths: Iterator[Path], size: int) -> Iterator[list[Path]]:
    while batch := list(itertools.islice(paths, size)):
        yield batch


def predict_here(
    args: argparse.Namespace, images: Iterator[Path]
) -> Iterator[list[dict]]:
    """Yield the rows of each image, in their order."""
    predictor = PoolPredictor(args.task, args.weights, args.topk)
    loader: DataLoader = DataLoader(
        predictor,  # type: ignore[arg-type]
        batch_sampler=in_batches(images, args.batch_size),
        num_workers=args.workers,
        collate_fn=list,
    )
    batches = iter(loader)  # workers are forked before there is a GPU
    predictor.pool.to(args.device)
    for batch in batches:
        yield from to_rows(predictor, batch)


def to_rows(
    predictor: PoolPredictor, batch: list[tuple[str, Any]]
) -> Iterator[list[dict]]:
    """Classify a batch of loaded images; yield the rows of each.

    A row is of an image and a task, or of an image that is unreadable.
    """
    loaded = [one for _, one in batch if not isinstance(one, str)]
    results = iter(predictor.classify(loaded))
    for image, one in batch:
        if isinstance(one, str):
            yield [dict(image=image, error=one)]
        else:
            tops = next(results).items()
            yield [dict(image=image, task=k, top=top) for k, top in tops]


def format_of(args: argparse.Namespace) -> str:
    """Return ``--format``, or what the suffix of ``--out`` says."""
    suffix = args.out.suffix.removeprefix('.').lower() if args.out else ''
    if args.format is None and suffix in FORMATS:
        return suffix
    return args.format or 'table'


def settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return what the rows depend on, beside the images."""
    if args.server:
        return dict(tasks=tasks_of_server(args), topk=args.topk)
    tasks = name_files(args.task)
    digests = {k: open_task(path).sha256[:16] for k, path in tasks.items()}
    return dict(tasks=digests, topk=args.topk)


def run(args: argparse.Namespace) -> int:
    """Run ``vptm predict``."""
    total = count_images(args.images)
    if args.out == Path('-'):
        args.out = None
    if args.out and not args.out.absolute().parent.is_dir():
        raise FileNotFoundError(f'no folder {args.out.absolute().parent}')
    kind = format_of(args)
    settings = settings_of(args) if kind in RESUMABLE else {}
    file = open_predictions(kind, args.out, settings)
    images = find_images(args.images)
    done, errors = skip_written(images, file.written(), args.out)
    if done:
        print(f'{done} of {total} images are there.', file=sys.stderr)
    if args.server:
        predict = predict_by_server
    elif args.ray:
        from .predict_on_ray import predict_on_ray as predict
    else:
        predict = predict_here
    rows_of_images = progress(
        predict(args, images), 'Images', total - done, disable=total < 2
    )
    for rows in rows_of_images:
        for row in rows:
            if 'error' in row:
                errors += 1
                image, error = row['image'], row['error']
                said = '' if error.startswith(image) else f'{image}: '
                print(f'{said}{error}', file=sys.stderr)
        file.write(rows)
    file.close()
    if errors:
        print(f'Unreadable: {errors} of {total} images.', file=sys.stderr)
    return int(bool(errors))
