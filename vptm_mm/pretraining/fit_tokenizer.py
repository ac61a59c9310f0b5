"""Fits the visual tokenizer before masked visual token modelling."""

from collections.abc import Iterator

from mmengine.dist import broadcast, is_main_process
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch import Tensor

from ..engine.unwrap import unwrap_model

MAX_PATCHES = 200_000  # that k-means sees at most


@HOOKS.register_module()
class FitTokenizerHook(Hook):
    """Fit the ``target_generator`` to the training images, once.

    Runs before the first epoch. A codebook that came from a checkpoint (a
    resumed run) is kept. In a distributed run rank 0 fits to the images that
    it reads, and the others receive its codebook.
    """

    def before_train(self, runner: Runner) -> None:
        """Collect patches of the target images and fit the codebook."""
        model = unwrap_model(runner.model)
        tokenizer = model.target_generator
        if tokenizer.is_fitted:
            runner.logger.info('Visual tokenizer: codebook of the checkpoint.')
            return
        if is_main_process():
            used = tokenizer.fit(self._descriptions(runner, model))
            runner.logger.info(
                f'Visual tokenizer: {tokenizer.num_visual_tokens} visual '
                f'tokens fitted, {used} of them in use.'
            )
        broadcast(tokenizer.codebook, src=0)

    def _descriptions(
        self, runner: Runner, model: BaseModel
    ) -> Iterator[Tensor]:
        left = MAX_PATCHES
        for batch in runner.train_dataloader:
            # The second of the two views is the tokenizer's.
            images = model.data_preprocessor(batch, True)['inputs'][1]
            described = model.target_generator.describe(images).flatten(0, 1)
            yield described[:left]
            left -= len(described)
            if left <= 0:
                return
