"""Refuses checkpoints and tasks that do not fit the run."""

from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner
from mmpretrain.registry import HOOKS

from ...checkpoints import FROZEN_SHA256, require_fit
from ..unwrap import unwrap_model


@HOOKS.register_module()
class CheckpointCheckHook(Hook):
    """Compare a checkpoint or a task file with the run before it is loaded.

    The host loads with ``strict=False`` and only logs what is missing, so a
    wrong checkpoint tests a model of random parts. This hook raises instead,
    for ``test``, ``resume`` and ``load_from``.

    Raises:
        ValueError: If a tensor is missing (``-``), unexpected (``+``) or of
            another shape (``!``), or if a task has other class names than the
            images that it is tested on.
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Raise one error that names all differences."""
        require_fit(unwrap_model(runner.model), checkpoint)
        if FROZEN_SHA256 in checkpoint.get('state_dict', checkpoint):
            _require_classes(runner, checkpoint.get('meta') or {})
            if runner._resume and 'optimizer' not in checkpoint:
                runner.logger.warning(
                    'A task file has no state of an optimizer: the schedule '
                    'starts at epoch 0, from its prompts and prototypes.'
                )


def _require_classes(runner: Runner, meta: dict) -> None:
    wanted = (meta.get('dataset_meta') or {}).get('classes')
    for loop in (runner._train_loop, runner._test_loop):
        if wanted is None or not isinstance(loop, BaseLoop):
            continue
        found = getattr(loop.dataloader.dataset, 'metainfo', {}).get('classes')
        if found is None or list(found) == list(wanted):
            continue
        pairs = zip(wanted, found, strict=False)
        first = next((i for i, (a, b) in enumerate(pairs) if a != b), -1)
        raise ValueError(
            f'the task has {len(wanted)} classes, the data set {len(found)}, '
            f'and their names differ'
            + (
                f': class {first} is {wanted[first]!r} in the task and '
                f'{found[first]!r} in the data set'
                if first >= 0
                else ''
            )
            + '. Use the data set that the task was tuned on.'
        )
