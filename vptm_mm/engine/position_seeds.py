"""Randomness by position: what is sampled depends on where a run is.

A generator whose state is the history of a run would have to be stored, of
each process and each worker. A seed made of numbers that a resumed run knows
has nothing to store.
"""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmengine.dataset import (
    ClassBalancedDataset,
    DefaultSampler,
    RepeatDataset,
)
from torch import Tensor
from torch.utils.data import DataLoader

from ..host import without_slice

ITERATIONS, SAMPLES = range(2)  # first number of a position


def seed_generators(*position: int) -> None:
    """Seed Python, NumPy and torch by ints >= 0."""
    words = np.random.SeedSequence(position).generate_state(4)
    seed = int(words[0]) << 32 | int(words[1])
    random.seed(seed)
    np.random.seed(words)
    # Not torch.manual_seed: a worker has no business with a GPU.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)


class View:
    """A transform at the beginning of a pipeline that knows several views.

    Which of them is next is set in the process that reads the image.
    """

    view = 0


class SampleSeed(View):
    """A transform that makes augmentation depend on seed, epoch and image.

    Args:
        seed: Seed of the run.
        epoch: A number in shared memory, so that workers that are kept from
            one epoch to the next see it change.
        part: Number of the data set, where several are joined.
    """

    def __init__(self, seed: int, epoch: Tensor, part: int = 0) -> None:
        self.seed = seed
        self.epoch = epoch
        self.part = part

    def __call__(self, results: dict) -> dict:
        """Seed this process, and leave the image alone."""
        if 'sample_idx' in results:
            position = [int(self.epoch), int(results['sample_idx'])]
            if self.view or self.part:
                position.append(self.view)
            if self.part:
                position.append(self.part)
            seed_generators(SAMPLES, self.seed, *position)
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
    for part, transforms in enumerate(pipelines(dataset)):
        transforms[:] = [
            SampleSeed(seed, epoch, part),
            *(t for t in transforms if not isinstance(t, SampleSeed)),
        ]
    return epoch


def may_repeat(loader: DataLoader) -> bool:
    """Whether a loader may read an image more than once in an epoch."""
    parts = list(parts_of(loader.dataset))
    sampler = getattr(loader.batch_sampler, 'sampler', None)
    return (
        not isinstance(sampler, DefaultSampler)
        or any(
            isinstance(part, (RepeatDataset, ClassBalancedDataset))
            for part in parts
        )
        or len({id(part) for part in parts}) < len(parts)
    )


def pipelines(dataset: Any) -> Iterator[list[Any]]:
    """Yield the transforms of each data set that has some."""
    for part in parts_of(dataset):
        transforms = getattr(
            getattr(part, 'pipeline', None), 'transforms', None
        )
        if transforms is not None:
            yield transforms


def parts_of(dataset: Any) -> Iterator[Any]:
    """Yield a data set and those that are wrapped in it."""
    dataset = without_slice(dataset)
    yield dataset
    inner = [getattr(dataset, 'dataset', None)]
    inner += getattr(dataset, 'datasets', [])
    for part in inner:
        if part is not None:
            yield from parts_of(part)
