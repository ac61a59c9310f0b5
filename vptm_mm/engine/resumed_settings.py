"""Lets a resumed run follow its config where the checkpoint differs from it.

A checkpoint holds the hyper-parameters of its optimizer and its schedulers,
and the host loads them over those of the config.
"""

import copy
import warnings
from typing import Any

from mmengine.optim import (
    OptimWrapper,
    OptimWrapperDict,
    ReduceOnPlateauParamScheduler,
)
from mmengine.runner import Runner

# What a scheduler counts, beside what its config says.
COUNTED = {'_global_step', '_last_value', 'base_values', 'last_step'}

# Of the groups of the optimizer, and of the schedulers.
Settings = tuple[list[dict[str, Any]], list[dict[str, Any]]]


def settings_of(runner: Runner) -> Settings | None:
    """Return the hyper-parameters of a runner; None of several optimizers."""
    wrapper, schedulers = runner.optim_wrapper, runner.param_schedulers or []
    if (
        not isinstance(wrapper, OptimWrapper)
        or isinstance(wrapper, OptimWrapperDict)
        or not isinstance(schedulers, list)
        or any(isinstance(scheduler, dict) for scheduler in schedulers)
    ):
        return None
    groups = [
        {key: value for key, value in group.items() if key != 'params'}
        for group in wrapper.param_groups
    ]
    return groups, [copy.deepcopy(s.state_dict()) for s in schedulers]


def follow_config(
    runner: Runner, wanted: Settings, found: Settings, batches: int
) -> None:
    """Compare a resumed runner with its config; say and undo differences.

    Schedules of the config are stepped to where the run is. One that depends
    on validation (``ReduceOnPlateau...``) cannot be: there, learning rates
    stay as in the checkpoint.

    Args:
        runner: The runner; its checkpoint has been loaded.
        wanted: Settings by the config, from before that.
        found: Those by the checkpoint.
        batches: Those of an epoch of the checkpoint; 0 if it does not say.
    """
    groups, states = wanted
    schedulers = runner.param_schedulers or []
    epoch_length = len(runner.train_dataloader)
    differences: dict[str, None] = {}
    for loaded, group in zip(found[0], groups, strict=True):
        for key, value in group.items():
            if f'initial_{key}' not in group and loaded.get(key) != value:
                name = key.removeprefix('initial_')
                differences[_line(name, loaded.get(key), value)] = None
    for number, (scheduler, loaded, state) in enumerate(
        zip(schedulers, found[1], states, strict=True)
    ):
        position = runner.epoch if scheduler.by_epoch else runner.iter
        if position and not loaded['_global_step']:
            line = f'param_scheduler.{number} is not in the checkpoint'
            differences[line] = None
        for key in state.keys() - COUNTED:
            if loaded.get(key) != state[key]:
                name = f'param_scheduler.{number}.{key}'
                line = _line(name, loaded.get(key), state[key])
                differences[line] = None
    if not differences:
        return
    runner.logger.warning(
        'The config differs from the checkpoint; from here on the run '
        'follows the config:\n  '
        + '\n  '.join(sorted(differences))
        + '\n(end, begin and T_max may be in steps.) To go on as before, give '
        'the settings that the run began with.'
    )
    waits = [
        s for s in schedulers if isinstance(s, ReduceOnPlateauParamScheduler)
    ]
    for group, values in zip(
        runner.optim_wrapper.param_groups, groups, strict=True
    ):
        for key, value in values.items():
            if not waits or not {key, f'initial_{key}'} & {'lr', 'initial_lr'}:
                group[key] = value
    if waits:
        return
    for scheduler, state in zip(schedulers, states, strict=True):
        scheduler.load_state_dict(copy.deepcopy(state))
    steps = runner.iter
    if batches and batches != epoch_length:
        steps = runner.epoch * epoch_length
    with warnings.catch_warnings():
        # Of steps of a scheduler without those of the optimizer.
        warnings.simplefilter('ignore', UserWarning)
        for step in range(1, steps + 1):
            for scheduler in schedulers:
                if not scheduler.by_epoch or step % epoch_length == 0:
                    scheduler.step()


def _line(name: str, loaded: Any, wanted: Any) -> str:
    return f'{name}: {loaded} in the checkpoint, {wanted} in the config'
