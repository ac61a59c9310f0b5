"""Writes what training has made: the task file."""

from pathlib import Path
from typing import Any

from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from ...checkpoints import (
    IDENTITY,
    load_state,
    make_task,
    read_checkpoint,
    task_state,
    write_task,
)
from ..unwrap import unwrap_model
from .best_checkpoint import find_best


@HOOKS.register_module()
class TaskFileHook(Hook):
    """Write a task file when training ends, from the best checkpoint.

    ``task.safetensors`` in the work dir holds what was tuned, the class names
    and the preprocessing; ``tools/test.py`` and the inferencer take it in
    place of a checkpoint. Without a best checkpoint it is the last state. A
    model without a frozen backbone has no task file.

    Args:
        slim_checkpoints: Whether checkpoints leave the frozen tensors out,
            too, and hold their digest instead. They keep the state of the
            optimizer, and a run resumes from them as from whole ones.
    """

    # After BestCheckpointTestHook and CheckpointHook.
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
                    {prefix + name: task[name] for name in IDENTITY}
                )

    def after_train(self, runner: Runner) -> None:
        """Write the file from rank 0."""
        model = unwrap_model(runner.model)
        if not _is_on_frozen(model):
            runner.logger.info('No frozen backbone, so no task file.')
            return
        best = find_best(runner)
        if best is None:
            checkpoint = dict(state_dict=model.state_dict())
            for hook in runner.hooks:
                if isinstance(hook, EMAHook):  # what was validated
                    hook.before_save_checkpoint(runner, checkpoint)
        else:
            checkpoint = read_checkpoint(str(best))
        # Not by the runner: in a resumed run EMAHook would load other values.
        load_state(model, checkpoint)
        if runner.rank != 0:
            return
        dataset = runner.train_dataloader.dataset
        classes = getattr(dataset, 'metainfo', {}).get('classes')
        task = make_task(model, runner.cfg, classes)
        path = Path(runner.work_dir) / 'task.safetensors'
        write_task(task, path)
        runner.logger.info(
            f'Task file of {best.name if best else "the last state"}: {path}, '
            f'{path.stat().st_size / 1e3:,.1f} kB.'
        )


def _is_on_frozen(model: Any) -> bool:
    backbone = getattr(model, 'backbone', None)
    is_pretrained = getattr(backbone, 'frozen_sha256', None) is not None
    return is_pretrained and getattr(backbone, 'is_frozen', False)
