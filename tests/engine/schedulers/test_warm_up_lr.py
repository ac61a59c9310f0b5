"""Rates of whole schedules, as the runner builds them."""

import logging
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmpretrain.registry import PARAM_SCHEDULERS

from vptm_mm.engine.schedulers import warn_of_unfinished_schedules

from ...conftest import ROOT
from ..made_digits import digits_runner, read_log


def rates(schedulers: list[dict], steps_an_epoch: int, epochs: int) -> list:
    """The rate of each step; the full one is 1."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    wrapper = OptimWrapper(torch.optim.SGD([parameter], lr=1.0))
    built = [
        PARAM_SCHEDULERS.build(
            cfg,
            default_args=dict(optimizer=wrapper, epoch_length=steps_an_epoch),
        )
        for cfg in schedulers
    ]
    found = []
    for _ in range(steps_an_epoch * epochs):
        found.append(wrapper.get_lr()['lr'][0])
        wrapper.step()
        for scheduler in built:
            scheduler.step()
    return found


@pytest.mark.parametrize('steps', [1, 2])
@pytest.mark.parametrize(
    'path',
    [
        'pretrain/beitv2-tiny_folder.py',
        'pretrain/beitv2-tiny_digits.py',
        '_base_/schedules/vptm_20e.py',
        '_base_/schedules/vptm_100e.py',
    ],
)
def test_the_rate_is_reached_with_few_steps_an_epoch(path, steps):
    cfg = Config.fromfile(ROOT / 'configs' / path)
    warm_up = cfg.param_scheduler[0].end * steps
    epochs = cfg.train_cfg.max_epochs
    schedulers = [{'end': epochs, **s} for s in cfg.param_scheduler]
    found = rates(schedulers, steps, epochs)
    assert found[warm_up - 1] == pytest.approx(1)
    assert found[warm_up] == pytest.approx(1)
    assert found[-1] < 0.02


@pytest.mark.parametrize('end', [2, 3, 40])
def test_two_steps_and_more_are_the_hosts(end):
    settings = dict(start_factor=1e-4, end=end, by_epoch=False)
    ours, theirs = (
        rates([dict(type=name, **settings)], 1, end + 2)
        for name in ('WarmUpLR', 'LinearLR')
    )
    assert ours == theirs


@pytest.mark.parametrize('epochs', [1, 3, 6])
def test_the_number_of_epochs_is_all_there_is_to_say(epochs, tmp_path):
    """A trial of fewer epochs than the warm-up has runs, too."""
    options = {'param_scheduler.0.end': 3, 'param_scheduler.1.begin': 3}
    options |= {
        'train_cfg.max_epochs': epochs,
        'custom_hooks': [dict(type='ClassMeanPrototypesHook')],
    }
    options |= {'train_dataloader.dataset.indices': 32}
    runner = digits_runner(tmp_path, **options)
    runner.train()
    rate = runner.optim_wrapper.get_lr()['lr'][0]
    assert rate < 5e-4 if epochs == 6 else rate > 1e-6
    log = read_log(tmp_path)
    assert ('The warm-up of the learning rate takes' in log) == (epochs < 3)
    assert ('1 of 2 param_scheduler would begin' in log) == (epochs <= 3)


@pytest.mark.parametrize(
    ('end', 'epochs', 'line'),
    [
        (20, 1, 'param_scheduler.1 takes 40 steps and the run has 2. Leave'),
        (1, 2, 'param_scheduler.1 ends after 2 of 4 steps; the rest trains'),
    ],
)
def test_a_schedule_that_a_config_pins(end, epochs, line, tmp_path):
    """As configs did that are older than schedules without an end."""
    options = {'param_scheduler.1.begin': 0, 'param_scheduler.1.end': end}
    options |= {'param_scheduler.0.end': 1, 'train_cfg.max_epochs': epochs}
    runner = digits_runner(tmp_path, **options)
    runner.train()
    assert line in read_log(tmp_path)


@pytest.mark.parametrize(
    ('end', 'reached'),
    # Two steps of ten, which would end at the tenth; two of two.
    [(5, '10 steps and the run has 2, so that it ends at 11%'), (1, None)],
)
def test_a_run_that_ends_before_its_warm_up(end, reached, tmp_path):
    runner = digits_runner(
        tmp_path,
        **{
            'param_scheduler.0.end': end,
            'param_scheduler.1.begin': end,
        },
    )
    runner.train()
    log = read_log(tmp_path)
    assert ('warm-up of the learning rate' in log) == bool(reached)
    assert (reached or '') in log


def test_one_step_of_warm_up_after_the_end(caplog):
    parameter = torch.nn.Parameter(torch.zeros(1))
    wrapper = OptimWrapper(torch.optim.SGD([parameter], lr=1.0))
    scheduler = PARAM_SCHEDULERS.build(
        dict(type='WarmUpLR', start_factor=0.1, begin=5, end=6),
        default_args=dict(optimizer=wrapper),
    )
    logger = logging.getLogger('warm-up')
    warn_of_unfinished_schedules(
        SimpleNamespace(
            param_schedulers=[scheduler],
            max_epochs=5,
            logger=logger,
            max_iters=5,
        )
    )
    assert 'ends at 10% of the rate' in caplog.text
    assert 'Set param_scheduler.0.end lower' in caplog.text
