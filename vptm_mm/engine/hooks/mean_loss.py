"""Makes the logged loss that of all processes."""

from mmengine.dist import all_reduce_dict
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class MeanLossHook(Hook):
    """Average the losses of a step over the processes before they are logged.

    The host logs those of the first process: the loss of its part of the
    batch. One value a loss is sent; with one process nothing is.
    """

    # Before RuntimeInfoHook, which takes them for the log.
    priority = 'HIGHEST'

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Replace each loss by its mean."""
        if outputs and runner.world_size > 1:
            outputs.update({k: v.detach() for k, v in outputs.items()})
            all_reduce_dict(outputs, op='mean')
