"""A warning before pre-training of few steps."""

import logging
from types import SimpleNamespace

import pytest

from vptm_mm.engine import FewStepsHook


class Loader:
    """A loader of one batch an epoch."""

    dataset = range(294)
    batch_size = 256

    def __len__(self):
        return 1


def warn(max_epochs, caplog) -> str:
    runner = SimpleNamespace(
        max_epochs=max_epochs,
        max_iters=max_epochs,
        train_dataloader=Loader(),
        logger=logging.getLogger('few_steps'),
    )
    FewStepsHook().before_train(runner)
    return caplog.text


def test_a_small_folder(caplog):
    text = warn(25, caplog)
    assert 'has 25 steps: train_cfg.max_epochs=25, 1 an epoch (294 ' in text
    assert 'batch_size=256)' in text
    assert 'train_cfg.max_epochs=1000.' in text


def test_enough_steps(caplog):
    assert not warn(1000, caplog)


def test_no_number_of_steps():
    with pytest.raises(ValueError, match='steps=0 must be >= 1'):
        FewStepsHook(steps=0)
