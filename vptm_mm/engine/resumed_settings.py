"""Lets a resumed run follow its config where the checkpoint differs from it.

A checkpoint holds the hyper-parameters of its optimizer and its schedulers,
and the host loads them over those of the config.
"""

import copy
import warnings
from typing import Any, NamedTuple

from mmengine.optim import (
    OptimWrapper,
    OptimWrapperDict,
    ReduceOnPlateauParamScheduler,
)
from mmengine.runner import Runner

# What a scheduler counts, beside what its config says.
COUNTED = {'_global_step', '_last_value', 'base_values', 'last_step'}


class Settings(NamedTuple):
    """Hyper-parameters of an optimizer's groups and of its schedulers."""

    groups: list[dict[str, Any]]
    schedulers: list[dict[str, Any]]

    @classmethod
    def of(cls, runner: Runner) -> 'Settings | None':
        """Read those of a runner; None if it has several optimizers."""
        wrapper, schedulers = runner.optim_wrapper, runner.param_schedulers
        if (
            not isinstance(wrapper, OptimWrapper)
            or isinstance(wrapper, OptimWrapperDict)
            or any(isinstance(one, dict) for one in schedulers or [])
        ):
            return None
        groups = [{**g, 'params': None} for g in wrapper.param_groups]
        states = [copy.deepcopy(s.state_dict()) for s in schedulers or []]
        return cls(groups, states)

    def fixed(self) -> dict[tuple[int, str], Any]:
        """Return what no schedule changes, by number of group and name."""
        named = {}
        for number, group in enumerate(self.groups):
            for key, value in group.items():
                if f'initial_{key}' not in group:
                    named[number, key.removeprefix('initial_')] = value
        for number, state in enumerate(self.schedulers):
            for key in state.keys() - COUNTED:
                named[0, f'param_scheduler.{number}.{key}'] = state[key]
        return named


def follow_config(runner: Runner, wanted: Settings, batches: int) -> None:
    """Compare a resumed runner with its config; say and undo differences.

    Schedules of the config are stepped to where the run is. One that depends
    on validation (``ReduceOnPlateau...``) cannot be: there, learning rates
    stay as in the checkpoint.

    Args:
        runner: The runner; its checkpoint has been loaded.
        wanted: Settings by the config, from before that.
        batches: Those of an epoch of the checkpoint; 0 if it does not say.
    """
    found = Settings.of(runner)
    if found is None:
        return
    loaded = found.fixed()
    lines = {
        f'{key[1]}: {loaded.get(key)} in the checkpoint, {value} in the config'
        for key, value in wanted.fixed().items()
        if loaded.get(key) != value
    }
    schedulers = runner.param_schedulers or []
    for number, scheduler in enumerate(schedulers):
        position = runner.epoch if scheduler.by_epoch else runner.iter
        if position and not found.schedulers[number]['_global_step']:
            lines.add(f'param_scheduler.{number} is not in the checkpoint')
    if not lines:
        return
    runner.logger.warning(
        'The config differs from the checkpoint; from here on the run '
        'follows the config:\n  '
        + '\n  '.join(sorted(lines))
        + '\n(end, begin and T_max may be in steps.) To go on as before, give '
        'the settings that the run began with.'
    )
    kept = {'params'}
    waits = any(
        isinstance(one, ReduceOnPlateauParamScheduler) for one in schedulers
    )
    if waits:
        kept |= {'lr', 'initial_lr'}
    for group, values in zip(
        runner.optim_wrapper.param_groups, wanted.groups, strict=True
    ):
        group.update({k: v for k, v in values.items() if k not in kept})
    if not waits:
        for scheduler, state in zip(
            schedulers, wanted.schedulers, strict=True
        ):
            scheduler.load_state_dict(state)
        _step_to(runner, batches)


def _step_to(runner: Runner, batches: int) -> None:
    """Step all schedules from their beginning to where the run is."""
    epoch_length = len(runner.train_dataloader)
    steps = runner.iter
    if batches and batches != epoch_length:
        steps = runner.epoch * epoch_length
    with warnings.catch_warnings():
        # Of steps of a scheduler without those of the optimizer.
        warnings.simplefilter('ignore', UserWarning)
        for step in range(1, steps + 1):
            for scheduler in runner.param_schedulers:
                if not scheduler.by_epoch or step % epoch_length == 0:
                    scheduler.step()
