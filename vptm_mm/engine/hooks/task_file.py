"""Writes what training has made: the task file."""

from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from ...tasks import (
    IDENTITY_ENTRIES,
    Task,
    load_state,
    make_task,
    read_checkpoint,
    task_file_name,
    task_state,
    write_task,
)
from ..unwrap import unwrap_model, validated_model
from .resumable_checkpoint import find_best


@HOOKS.register_module()
class TaskFileHook(Hook):
    """Write a task file when training ends, from the best checkpoint.

    ``CONFIG.task.safetensors`` in the work dir, named after the config, holds
    what was tuned, the class names and the preprocessing; ``vptm test``
    and the inferencer take it in place of a checkpoint. Without a best
    checkpoint it is the last state. A model without a frozen backbone has no
    task file; what else a task file cannot hold is said before training.

    Args:
        slim_checkpoints: Whether checkpoints leave the frozen tensors out,
            too, and hold their digest instead. They keep the state of the
            optimizer, and a run resumes from them as from whole ones.
    """

    # After CheckpointHook.
    priority = 'LOWEST'

    def __init__(self, slim_checkpoints: bool = False) -> None:
        self.slim_checkpoints = slim_checkpoints

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take the frozen tensors out, if asked for."""
        model = unwrap_model(runner.model)
        if not (self.slim_checkpoints and _is_on_frozen(model)):
            return
        task = task_state(model)
        frozen = model.state_dict().keys() - task.keys()
        # Not the values of the model: EMAHook has put averages in their place.
        for key, prefix in (('state_dict', ''), ('ema_state_dict', 'module.')):
            if key in checkpoint:
                checkpoint[key] = {
                    name: tensor.cpu()
                    for name, tensor in checkpoint[key].items()
                    if name.removeprefix(prefix) not in frozen
                }
                checkpoint[key].update(
                    {prefix + name: task[name] for name in IDENTITY_ENTRIES}
                )

    def before_train(self, runner: Runner) -> None:
        """Say what a task file cannot hold, before time is spent."""
        if _is_on_frozen(unwrap_model(runner.model)):
            _make_task(runner)

    def after_train(self, runner: Runner) -> None:
        """Write the file from rank 0."""
        model = unwrap_model(runner.model)
        if not _is_on_frozen(model):
            runner.logger.info('No frozen backbone, so no task file.')
            return
        best = find_best(runner)
        if best is None:
            with validated_model(runner):
                task = _make_task(runner)
        else:
            # Not by the runner: in a resumed run EMAHook would load others.
            load_state(model, read_checkpoint(str(best)))
            task = _make_task(runner)
        if task is None or runner.rank != 0:
            return
        path = Path(runner.work_dir) / task_file_name(runner.cfg.filename)
        write_task(task, path)
        runner.logger.info(
            f'Task file of {best.name if best else "the last state"}: {path}, '
            f'{path.stat().st_size / 1e3:,.1f} kB.'
        )


def _make_task(runner: Runner) -> Task | None:
    """Return the task of the model; None, and a warning, if there is none."""
    dataset = runner.train_dataloader.dataset
    classes = getattr(dataset, 'metainfo', {}).get('classes')
    try:
        return make_task(unwrap_model(runner.model), runner.cfg, classes)
    except ValueError as error:
        runner.logger.warning(
            f'There will be no task file of this run: {error} Checkpoints '
            'hold the whole model, and are used with the config.'
        )
        return None


def _is_on_frozen(model: Any) -> bool:
    backbone = getattr(model, 'backbone', None)
    return getattr(backbone, 'identity', None) is not None
