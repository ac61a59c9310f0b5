"""Tells the repeats of an image within an epoch apart.

Wrappers such as ``RepeatDataset`` and samplers such as ``RepeatAugSampler``
name an image more than once. Which time it is goes to the pipeline with the
index, so it does not matter which worker reads it, nor where a run resumes.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from copy import copy
from functools import partial
from typing import Any

from mmengine.dataset import (
    ClassBalancedDataset,
    ConcatDataset,
    DefaultSampler,
    RepeatDataset,
)
from mmpretrain.datasets.samplers import RepeatAugSampler
from torch.utils.data import DataLoader


class RepeatedIndex(int):
    """An index, and which of its repeats it is.

    Args:
        index: The index.
        repeats: A number for the sampler and each wrapper, counted from 0.
    """

    repeats: tuple[int, ...]

    def __new__(
        cls, index: int, repeats: tuple[int, ...] = ()
    ) -> 'RepeatedIndex':
        self = super().__new__(cls, index)
        self.repeats = repeats
        return self


def repeats_of(index: int) -> tuple[int, ...]:
    """Return what an index repeats; empty for its first time."""
    repeats = getattr(index, 'repeats', ())
    return repeats if any(repeats) else ()


class RepeatSampler:
    """A sampler whose indices know how often they came before.

    Args:
        sampler: Another sampler.
    """

    def __init__(self, sampler: Any) -> None:
        self.sampler = sampler

    def __getattr__(self, name: str) -> Any:
        if name == 'sampler':  # of an object that is being copied
            raise AttributeError(name)
        return getattr(self.sampler, name)

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[int]:
        rank, samplers = 0, [self.sampler]
        # It deals an image's repeats to different processes.
        if isinstance(self.sampler, RepeatAugSampler):
            rank = self.sampler.rank
            samplers = [
                copy(self.sampler) for _ in range(self.sampler.world_size)
            ]
            for other, sampler in enumerate(samplers):
                sampler.rank = other
        counts: Counter[int] = Counter()
        for indices in zip(*samplers, strict=True):
            for other, index in enumerate(map(int, indices)):
                if other == rank:
                    yield RepeatedIndex(index, (counts[index],))
                counts[index] += 1


def count_repeats(loader: DataLoader) -> None:
    """Let a data loader's indices say which repeats they are."""
    batches: Any = loader.batch_sampler
    sampler = getattr(batches, 'sampler', None)
    # The host's default repeats none.
    if not isinstance(sampler, (DefaultSampler, RepeatSampler, type(None))):
        batches.sampler = RepeatSampler(sampler)


def keep_repeats(wrapper: Any) -> None:
    """Let a wrapper of data sets hand on which repeat it reads."""
    if isinstance(
        wrapper, (ClassBalancedDataset, ConcatDataset, RepeatDataset)
    ):
        wrapper._get_ori_dataset_idx = partial(_find_inner, wrapper)


def _find_inner(wrapper: Any, index: int) -> Any:
    found = type(wrapper)._get_ori_dataset_idx(wrapper, index)
    repeats = getattr(index, 'repeats', (0,))
    if isinstance(wrapper, ConcatDataset):
        part, inner = found  # two parts may have the same images
        return part, RepeatedIndex(inner, (*repeats, part))
    if isinstance(wrapper, ClassBalancedDataset):
        repeat = index - bisect_left(wrapper.repeat_indices, found)
    else:
        repeat = index // len(wrapper.dataset)
    return RepeatedIndex(found, (*repeats, repeat))
