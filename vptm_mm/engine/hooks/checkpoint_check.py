"""Refuses checkpoints that do not fit the model."""

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from ..unwrap import unwrap_model

MAX_NAMES = 20


@HOOKS.register_module()
class CheckpointCheckHook(Hook):
    """Compare a checkpoint with the model before it is loaded.

    The host loads with ``strict=False`` and only logs what is missing, so a
    wrong checkpoint tests a model of random parts. This hook raises instead,
    for ``test``, ``resume`` and ``load_from``.

    Raises:
        ValueError: If a tensor is missing (``-``), unexpected (``+``) or of
            another shape (``!``).
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Raise one error that names all differences."""
        model = unwrap_model(runner.model)
        ours = model.state_dict()
        # The host strips this prefix, and derives the preprocessor's buffers.
        theirs = {
            name.removeprefix('module.'): tensor
            for name, tensor in checkpoint.get(
                'state_dict', checkpoint
            ).items()
            if not name.startswith('data_preprocessor.')
        }
        lines = [f'- {name}' for name in ours if name not in theirs]
        lines += [f'+ {name}' for name in theirs if name not in ours]
        lines += [
            f'! {name}: {tuple(theirs[name].shape)} in the file, '
            f'{tuple(tensor.shape)} in the model'
            for name, tensor in ours.items()
            if name in theirs and theirs[name].shape != tensor.shape
        ]
        if not lines:
            return
        if len(lines) > MAX_NAMES:
            lines[MAX_NAMES:] = [f'... and {len(lines) - MAX_NAMES} more']
        raise ValueError(
            'the checkpoint does not fit the model of the config (- missing, '
            '+ unexpected, ! other shape):\n  '
            + '\n  '.join(lines)
            + '\nUse the config that the checkpoint was trained with; it is '
            "in the checkpoint's work dir. Pre-trained weights go to "
            'model.backbone.init_cfg.checkpoint.'
        )
