"""What is sampled depends on the position, not on what was sampled before."""

import random

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import ConcatDataset, DefaultSampler, RepeatDataset
from mmpretrain.datasets.samplers import RepeatAugSampler
from torch.utils.data import DataLoader

from vptm_mm.datasets import SklearnDigits
from vptm_mm.engine.position_seeds import (
    SampleSeed,
    may_repeat,
    pipelines,
    seed_generators,
    seed_samples,
)

from .made_digits import DIGITS, digits_runner, read_log


def sample():
    return random.random(), np.random.rand(), torch.rand(()).item()


def test_each_generator_forgets_its_history():
    seed_generators(0, 1, 2)
    first = sample()
    sample()
    seed_generators(0, 1, 2)
    assert sample() == first


@pytest.mark.parametrize('other', [(1, 1, 2), (0, 2, 2), (0, 1, 3)])
def test_each_number_counts(other):
    seed_generators(0, 1, 2)
    first = sample()
    seed_generators(*other)
    assert not set(sample()) & set(first)


class Sample:
    """A transform that keeps what it samples."""

    def __call__(self, results):
        return (results['sample_idx'], *sample())


@pytest.fixture
def digits():
    return SklearnDigits(split='train', pipeline=[Sample()], indices=4)


def test_an_image_has_its_own_stream_in_each_epoch(digits):
    epoch = seed_samples(digits, seed=3)
    first = [digits[i] for i in range(4)]
    assert [digits[i] for i in reversed(range(4))] == first[::-1]
    assert len(set(first)) == 4
    epoch.fill_(1)
    assert not set(first) & {digits[i] for i in range(4)}


def test_wrapped_data_sets_are_reached_once(digits):
    both = ConcatDataset([digits, digits])
    for _ in range(2):  # a loop that runs again
        seed_samples(both, seed=3)
    kinds = [type(t) for t in digits.pipeline.transforms]
    assert kinds == [SampleSeed, Sample]


def loader_of(dataset, sampler=DefaultSampler):
    return DataLoader(dataset, sampler=sampler(dataset, seed=0))


def test_what_may_repeat_an_image(digits):
    other = SklearnDigits(split='val', pipeline=[Sample()], indices=4)
    assert not may_repeat(loader_of(digits))
    assert not may_repeat(loader_of(ConcatDataset([digits, other])))
    assert may_repeat(loader_of(RepeatDataset(digits, times=2)))
    assert may_repeat(loader_of(ConcatDataset([digits, digits])))
    assert may_repeat(loader_of(digits, RepeatAugSampler))


def test_images_of_two_data_sets_have_streams_of_their_own(digits):
    other = SklearnDigits(split='val', pipeline=[Sample()], indices=4)
    both = ConcatDataset([digits, other])
    seed_samples(digits, seed=3)
    alone = digits[0]
    seed_samples(both, seed=3)
    assert both[0] == alone
    assert not set(both[4][1:]) & set(alone[1:])


def test_a_run_augments_repeats_each_in_its_own_way(tmp_path):
    """Its resumed end is not the same to the bit, and the log says so."""
    cfg = Config.fromfile(DIGITS)
    part = dict(cfg.train_dataloader.dataset, indices=32)
    twice = dict(_delete_=True, type='RepeatDataset', times=2, dataset=part)
    runner = digits_runner(tmp_path, **{'train_dataloader.dataset': twice})
    record = Record()
    for transforms in pipelines(runner.train_dataloader.dataset):
        transforms.insert(0, record)
    runner.train()
    samples = record.sampled[-64:]
    assert len(set(samples)) == 64
    assert len({number for number, *_ in samples}) < 64
    assert 'may repeat in an epoch' in read_log(tmp_path)


class Record:
    """A transform that keeps what would be sampled, and samples nothing."""

    def __init__(self):
        self.sampled = []

    def __call__(self, results):
        state = random.getstate(), np.random.get_state(), torch.get_rng_state()
        self.sampled.append(Sample()(results))
        random.setstate(state[0])
        np.random.set_state(state[1])
        torch.set_rng_state(state[2])
        return results
