"""Classify images on the machines of a Ray cluster.

Without a cluster, which the variable ``RAY_ADDRESS`` names, Ray starts on this
machine alone.
"""

import argparse
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.device import get_device

from ..tasks import name_files
from .predict import PoolPredictor, in_batches, to_rows
from .ray_environment import prepare_ray

# A block of Ray is of so many batches.
BATCHES = 8


class Actor:
    """A pool in a process of its own, on any machine.

    Args:
        home: Where relative paths of images begin.
        files: As in ``PoolPredictor``.
        weights: As in ``PoolPredictor``.
        topk: As in ``PoolPredictor``.
    """

    def __init__(
        self, home: str, files: dict[str, str], weights: str | None, topk: int
    ) -> None:
        self.home = home
        self.predictor = PoolPredictor(files, weights, topk)
        self.predictor.pool.to(get_device())

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[str]]:
        """Turn file names, as bytes, into the rows of each, as JSON."""
        names = [os.fsdecode(name) for name in batch['image']]
        loaded = [self.predictor[Path(self.home, name)][1] for name in names]
        found = to_rows(self.predictor, list(zip(names, loaded, strict=True)))
        return dict(rows=[json.dumps(rows) for rows in found])


def predict_on_ray(
    args: argparse.Namespace, images: Iterator[Path]
) -> Iterator[list[dict]]:
    """Yield the rows of each image, in their order.

    They are written by the process that asked for them: they are small, and
    it alone knows what is written. Images, task files and weights must have
    the same paths on all machines.
    """
    import pyarrow

    # Bytes: the names of files need not be text.
    blocks = [
        pyarrow.table(dict(image=[os.fsencode(path) for path in paths]))
        for paths in in_batches(images, BATCHES * args.batch_size)
    ]
    if not blocks:
        return
    prepare_ray()
    import ray

    address = os.environ.get('RAY_ADDRESS', 'local')
    ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield from _map(args, blocks)
    finally:
        ray.shutdown()


def _map(args: argparse.Namespace, blocks: list[Any]) -> Iterator[list[dict]]:
    """Map tables of the names of images; without a line of Ray's own."""
    import ray.data

    logging.getLogger('ray.data').setLevel(logging.WARNING)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_options.preserve_order = True
    files = {k: str(p.absolute()) for k, p in name_files(args.task).items()}
    weights = args.weights
    if weights and Path(weights).exists():
        weights = str(Path(weights).absolute())
    actors = ray.data.ActorPoolStrategy(
        min_size=args.workers or 1, max_size=args.workers or None
    )
    results = ray.data.from_arrow(blocks).map_batches(
        Actor,
        fn_constructor_args=(os.getcwd(), files, weights, args.topk),
        batch_size=args.batch_size,
        compute=actors,
        num_gpus=int(ray.cluster_resources().get('GPU', 0) > 0),
    )
    for row in results.iter_rows():
        yield json.loads(row['rows'])
