"""Randomness by position: what is drawn depends on where a run is.

A generator whose state is the history of a run would have to be stored, of
each process and each worker. A seed made of numbers that a resumed run knows
has nothing to store.
"""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmengine.logging import MMLogger
from torch import Tensor

from .repeats import keep_repeats, repeats_of

ITERATIONS, SAMPLES = range(2)  # first number of a position


def seed_generators(*position: int) -> None:
    """Seed Python, NumPy and torch by whole numbers >= 0."""
    words = np.random.SeedSequence(position).generate_state(4)
    seed = int(words[0]) << 32 | int(words[1])
    random.seed(seed)
    np.random.seed(words)
    # Not torch.manual_seed: a worker has no business with a GPU.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)


class SampleSeed:
    """A transform that makes augmentation depend on seed, epoch and image.

    If an image is read several times in an epoch, on which time it is, too.

    Args:
        seed: Seed of the run.
        epoch: A number in shared memory, so that workers that are kept from
            one epoch to the next see it change.
    """

    def __init__(self, seed: int, epoch: Tensor) -> None:
        self.seed = seed
        self.epoch = epoch

    def __call__(self, results: dict) -> dict:
        """Seed this process, and leave the image alone."""
        if 'sample_idx' in results:
            index = results['sample_idx']
            results['sample_idx'] = int(index)
            seed_generators(
                SAMPLES,
                self.seed,
                int(self.epoch),
                int(index),
                *repeats_of(index),
            )
        return results


def seed_samples(dataset: Any, seed: int) -> Tensor:
    """Let the pipelines of a data set begin with a ``SampleSeed``.

    Args:
        dataset: A data set of the host, or a wrapper around some.
        seed: Seed of the run.

    Returns:
        The epoch, to be changed in place.
    """
    epoch = torch.zeros((), dtype=torch.int64).share_memory_()
    pipelines: list[Any] = []
    for part in _parts(dataset):
        keep_repeats(part)
        if hasattr(getattr(part, 'pipeline', None), 'transforms'):
            pipelines.append(part.pipeline)
    if not pipelines:
        MMLogger.get_current_instance().warning(
            f'{type(dataset).__name__} has no pipeline of MMPretrain: its '
            'augmentation, if it has one, differs in a resumed run.'
        )
    for pipeline in pipelines:
        pipeline.transforms[:] = [
            SampleSeed(seed, epoch),
            *(t for t in pipeline.transforms if not isinstance(t, SampleSeed)),
        ]
    return epoch


def _parts(dataset: Any) -> Iterator[Any]:
    """Yield a data set and those that are wrapped in it."""
    # The runner's own wrapper of the first batches passes on attributes.
    dataset = getattr(dataset, '__dict__', {}).get('_dataset', dataset)
    yield dataset
    inner = [getattr(dataset, 'dataset', None)]
    inner += getattr(dataset, 'datasets', [])
    for part in inner:
        if part is not None:
            yield from _parts(part)
