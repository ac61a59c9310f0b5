"""Lets a resumed run follow its config where the checkpoint differs from it.

A checkpoint holds the hyper-parameters of its optimizer and its schedulers,
and the host loads them over those of the config.
"""

import copy
import warnings
from collections.abc import Callable

from mmengine.optim import (
    OptimWrapper,
    OptimWrapperDict,
    ReduceOnPlateauParamScheduler,
)
from mmengine.runner import Runner

from .resumable_train_loop import EPOCH_START


def resume_by_config(runner: Runner, load: Callable[[], None]) -> None:
    """Load a checkpoint, with the hyper-parameters of the config.

    Schedules of the config are stepped to where the run is. Several
    optimizers, and a schedule that depends on validation
    (``ReduceOnPlateau...``), go on as in the checkpoint.

    Args:
        runner: The runner, all of it built.
        load: Loads the checkpoint.
    """
    wrapper, schedulers = runner.optim_wrapper, runner.param_schedulers or []
    if (
        not isinstance(wrapper, OptimWrapper)
        or isinstance(wrapper, OptimWrapperDict)
        or any(
            isinstance(one, (str, dict, ReduceOnPlateauParamScheduler))
            for one in schedulers
        )
    ):
        load()
        return
    groups = wrapper.param_groups
    wanted = [{k: v for k, v in g.items() if k != 'params'} for g in groups]
    states = [copy.deepcopy(one.state_dict()) for one in schedulers]
    load()
    groups = runner.optim_wrapper.param_groups
    loaded = [dict(group) for group in groups]
    for group, values in zip(groups, wanted, strict=True):
        group.update(values)
    for one, state in zip(schedulers, states, strict=True):
        one.load_state_dict(state)
    _step_to_position(runner)
    lines = {
        f'{key}: {old.get(key)} in the checkpoint, {new[key]} in the config'
        for old, new in zip(loaded, groups, strict=True)
        for key in new
        if key != 'params' and old.get(key) != new[key]
    }
    if lines:
        runner.logger.warning(
            'The config differs from the checkpoint; from here on the run '
            'follows the config:\n  ' + '\n  '.join(sorted(lines))
        )


def _step_to_position(runner: Runner) -> None:
    """Step all schedules from their beginning to where the run is."""
    epoch_length = len(runner.train_dataloader)
    # Of an epoch of the checkpoint; 0 if it does not say.
    _, _, batches = runner.message_hub.get_info(EPOCH_START, [0, 0, 0])
    steps = runner.iter
    # At the end of an epoch, the host steps those by iteration first.
    schedulers = sorted(
        runner.param_schedulers or [], key=lambda s: s.by_epoch
    )
    if batches and batches != epoch_length:
        steps = runner.epoch * epoch_length
    with warnings.catch_warnings():
        # Of steps of a scheduler without those of the optimizer.
        warnings.simplefilter('ignore', UserWarning)
        for step in range(1, steps + 1):
            for scheduler in schedulers:
                if not scheduler.by_epoch or step % epoch_length == 0:
                    scheduler.step()
