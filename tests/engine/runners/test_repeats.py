"""Repeats of an image within an epoch are augmented each in its own way."""

import copy
import pickle

import pytest
from mmengine.dataset import (
    ClassBalancedDataset,
    ConcatDataset,
    DefaultSampler,
    RepeatDataset,
)
from mmpretrain.datasets.samplers import RepeatAugSampler
from torch.utils.data import DataLoader

from vptm_mm.datasets import SklearnDigits
from vptm_mm.engine.runners.position_seeds import seed_samples
from vptm_mm.engine.runners.repeats import RepeatSampler, count_repeats
from vptm_mm.engine.runners.resumable_train_loop import _rest

from ..made_digits import digits_runner
from .test_position_seeds import Draw

IMAGES = 10  # of ten classes


def make_digits():
    return SklearnDigits(split='train', pipeline=[Draw()], indices=IMAGES)


def make_loader(dataset, sampler, workers=0):
    seed_samples(dataset, seed=3)
    loader = DataLoader(
        dataset,
        batch_size=4,
        sampler=sampler,
        num_workers=workers,
        collate_fn=list,
    )
    for _ in range(2):  # a loop that runs again
        count_repeats(loader)
    return loader


def read(loader):
    return [sample for batch in loader for sample in batch]


def views_of(samples, image):
    return [views for number, *views in samples if number == image]


@pytest.fixture
def plain():
    digits = make_digits()
    return read(make_loader(digits, DefaultSampler(digits, shuffle=False)))


@pytest.mark.parametrize(
    ('wrap', 'times', 'workers'),
    [
        (lambda: RepeatDataset(make_digits(), times=3), 3, 2),
        (lambda: ConcatDataset([make_digits(), make_digits()]), 2, 0),
        (lambda: ConcatDataset([make_digits()] * 2), 2, 0),
        (lambda: ClassBalancedDataset(make_digits(), oversample_thr=1), 0, 0),
    ],
)
def test_wrappers(wrap, times, workers, plain):
    dataset = wrap()
    loader = make_loader(dataset, DefaultSampler(dataset, seed=0), workers)
    samples = read(loader)
    assert len({tuple(sample) for sample in samples}) == len(dataset) > IMAGES
    # The first time is as without a wrapper.
    assert {tuple(s) for s in plain} < {tuple(s) for s in samples}
    if times:
        assert len(views_of(samples, 0)) == times
    assert read(loader) == samples
    assert read(_rest(loader, 2)) == samples[8:]


@pytest.mark.parametrize('workers', [0, 2])
def test_a_sampler(workers, plain):
    digits = make_digits()
    loader = make_loader(digits, RepeatAugSampler(digits, seed=0), workers)
    samples = read(loader)
    assert len({tuple(sample) for sample in samples}) == len(digits)
    numbers = {number for number, *_ in samples}
    assert len(numbers) == 4  # three times each, and a single one
    for number in numbers:
        assert views_of(plain, number)[0] in views_of(samples, number)
    assert all(type(number) is int for number in numbers)
    assert read(_rest(loader, 1)) == samples[4:]


def test_processes_share_no_repeat():
    digits = make_digits()
    samples = []
    for rank in range(3):
        sampler = RepeatAugSampler(digits, seed=0)
        sampler.rank, sampler.world_size = rank, 3
        sampler.num_samples, sampler.total_size = 10, 30
        samples += read(make_loader(digits, sampler))
    assert len({tuple(sample) for sample in samples}) == 30


def test_a_sampler_around_a_wrapper():
    twice = RepeatDataset(make_digits(), times=2)
    sampler = RepeatAugSampler(twice, shuffle=False)
    samples = read(make_loader(twice, sampler))
    assert len({tuple(sample) for sample in samples}) == len(twice)


class Record:
    """A transform that keeps what it draws for later."""

    def __init__(self):
        self.drawn = []

    def __call__(self, results):
        self.drawn.append(Draw()(results))
        return results


def test_a_training_run(tmp_path):
    sampler = dict(type='RepeatAugSampler')
    runner = digits_runner(tmp_path, **{'train_dataloader.sampler': sampler})
    record = Record()
    dataset = runner.train_dataloader.dataset
    dataset.pipeline.transforms.insert(0, record)
    runner.train()
    samples = record.drawn[-len(dataset) :]
    assert len(set(samples)) == len(dataset) == 64
    assert len({number for number, *_ in samples}) < 64


def test_epochs_reach_the_sampler():
    sampler = RepeatAugSampler(make_digits(), seed=0)
    counted = RepeatSampler(sampler)
    first = list(counted)
    counted.set_epoch(1)
    assert list(counted) == list(sampler) != first


def test_a_copied_sampler_still_counts():
    sampler = pickle.loads(pickle.dumps(copy.deepcopy(RepeatSampler([1, 1]))))
    assert [index.repeats for index in sampler] == [(0,), (1,)]
