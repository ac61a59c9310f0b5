"""Says at the start that a run is too short to learn much."""

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class FewStepsHook(Hook):
    """Warn before pre-training of few steps.

    A small folder has few batches an epoch, and a number of epochs that is
    enough for a large one leaves the backbone as it was initialised.

    Args:
        steps: Warn below this number of optimizer steps. The tiny backbones of
            the package were trained for 2,000 and more.

    Raises:
        ValueError: If ``steps`` < 1.
    """

    def __init__(self, steps: int = 1000) -> None:
        if steps < 1:
            raise ValueError(f'steps={steps} must be >= 1.')
        self.steps = steps

    def before_train(self, runner: Runner) -> None:
        """Compare it with the steps of the run."""
        if runner.max_iters >= self.steps:
            return
        loader = runner.train_dataloader
        epochs = -(-self.steps // len(loader))
        runner.logger.warning(
            f'This run has {runner.max_iters} steps: '
            f'train_cfg.max_epochs={runner.max_epochs}, {len(loader)} an '
            f'epoch ({len(loader.dataset)} images, '
            f'train_dataloader.batch_size={loader.batch_size}). In less than '
            f'{self.steps} steps little is learned. Set a smaller batch, with '
            'optim_wrapper.optimizer.lr lower in proportion, or '
            f'train_cfg.max_epochs={epochs}.'
        )
