"""What is drawn depends on the position, not on what was drawn before."""

import random

import numpy as np
import pytest
import torch
from mmengine.dataset import ConcatDataset
from mmengine.logging import MMLogger
from torch.utils.data import TensorDataset

from vptm_mm.datasets import SklearnDigits
from vptm_mm.engine.runners.position_seeds import (
    SampleSeed,
    seed_generators,
    seed_samples,
)


def draw():
    return random.random(), np.random.rand(), torch.rand(()).item()


def test_each_generator_forgets_its_history():
    seed_generators(0, 1, 2)
    first = draw()
    draw()
    seed_generators(0, 1, 2)
    assert draw() == first


@pytest.mark.parametrize('other', [(1, 1, 2), (0, 2, 2), (0, 1, 3)])
def test_each_number_counts(other):
    seed_generators(0, 1, 2)
    first = draw()
    seed_generators(*other)
    assert not set(draw()) & set(first)


class Draw:
    """A transform that keeps what it draws."""

    def __call__(self, results):
        return (results['sample_idx'], *draw())


@pytest.fixture
def digits():
    return SklearnDigits(split='train', pipeline=[Draw()], indices=4)


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
    assert kinds == [SampleSeed, Draw]


def test_a_data_set_without_a_pipeline_is_named(monkeypatch):
    lines = []
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(logger, 'warning', lines.append)
    seed_samples(TensorDataset(torch.zeros(2)), seed=0)
    assert 'TensorDataset has no pipeline of MMPretrain' in lines[0]
