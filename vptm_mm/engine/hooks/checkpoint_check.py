"""Refuses checkpoints that do not fit the model."""

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from ...bricks import compare_states
from ..unwrap import unwrap_model


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
        state = checkpoint.get('state_dict', checkpoint)
        # The host strips this prefix, and derives the preprocessor's buffers.
        state = {k.removeprefix('module.'): v for k, v in state.items()}
        state = {
            name: tensor
            for name, tensor in state.items()
            if not name.startswith('data_preprocessor.')
        }
        difference = compare_states(model.state_dict(), state)
        if difference:
            raise ValueError(
                'the checkpoint does not fit the model of the config '
                f'(- missing, + unexpected, ! wrong):\n  {difference}\n'
                'Use the config that the checkpoint was trained with; it is '
                "in the checkpoint's work dir. Pre-trained weights go to "
                'model.backbone.init_cfg.checkpoint.'
            )
