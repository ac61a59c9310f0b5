"""Writes how tuning goes: gradient, prompts, prototypes, cosines.

Symbols: B batch; K classes.
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch import Tensor

from ...nn import (
    PromptTokens,
    PrototypicalVerbalizer,
    require_int,
    trainable_parameters,
)
from ..unwrap import unwrap_model


@HOOKS.register_module()
class TuningScalarsHook(Hook):
    """Write scalars of the method to the visualizer's backends.

    They go where the host's losses and accuracies go: to ``scalars.json``,
    and to TensorBoard or W&B if the run has these backends. They are kept out
    of the log's lines and of the checkpoints. A model without prompts or
    prototypes has fewer of them.

    - ``tuning/grad_norm``: of all trainable parameters, as the optimizer gets
      it (after clipping)
    - ``tuning/prompt_norm``, ``tuning/prototype_norm``: mean length of one
    - ``tuning/temperature``
    - ``tuning/cosine_own``, ``tuning/cosine_other``: of the batch's images
      with the prototype of their class, and with the nearest of the others;
      absent where mixup or cutmix give an image several classes

    Args:
        interval: Iterations between two points; the last of an epoch is one.

    Raises:
        ValueError: If ``interval`` is below 1.
    """

    # After LoggerHook.
    priority = 'LOW'

    def __init__(self, interval: int = 10) -> None:
        require_int('interval', interval, 1)
        self.interval = interval
        self._grad_norm: Tensor | None = None
        self._scores: Tensor | None = None

    def before_train(self, runner: Runner) -> None:
        """Find the parts, and listen to the optimizer and the verbalizer."""
        model = unwrap_model(runner.model)
        parts = list(model.modules())
        self._prompts = [
            part.prompts
            for part in parts
            if isinstance(part, PromptTokens) and part.prompts is not None
        ]
        self._verbalizers = [
            part for part in parts if isinstance(part, PrototypicalVerbalizer)
        ]
        trainable = list(trainable_parameters(model).values())
        self._handles = [
            verbalizer.register_forward_hook(self._keep_scores)
            for verbalizer in self._verbalizers
        ]
        if isinstance(runner.optim_wrapper, OptimWrapper):
            optimizer = runner.optim_wrapper.optimizer
            self._handles.append(
                optimizer.register_step_pre_hook(
                    lambda *_: self._keep_grad_norm(trainable)
                )
            )

    def after_train(self, runner: Runner) -> None:
        """Stop listening."""
        for handle in self._handles:
            handle.remove()

    def _keep_scores(self, module: Any, inputs: Any, scores: Tensor) -> None:
        self._scores = scores.detach()  # (B, K)

    def _keep_grad_norm(self, parameters: Sequence[Tensor]) -> None:
        # Gone after the step; not read here, so that a GPU need not wait.
        norms = [p.grad.norm() for p in parameters if p.grad is not None]
        self._grad_norm = torch.stack(norms).norm() if norms else None

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Write a point."""
        if not (
            self.every_n_train_iters(runner, self.interval)
            or self.end_of_epoch(runner.train_dataloader, batch_idx)
        ):
            return
        scalars = self._measure()
        model = unwrap_model(runner.model)
        if getattr(model.data_preprocessor, 'batch_augments', None) is None:
            scalars |= self._compare_classes(data_batch)
        if scalars:
            # W&B counts calls; the iteration joins its curves to the host's.
            points = {f'tuning/{k}': float(v) for k, v in scalars.items()}
            step = runner.iter + 1
            runner.visualizer.add_scalars({**points, 'iter': step}, step=step)

    @torch.no_grad()
    def _measure(self) -> dict[str, Tensor]:
        scalars = {}
        if self._grad_norm is not None:
            scalars['grad_norm'] = self._grad_norm
        if self._prompts:
            norms = [
                prompts.norm(dim=-1).flatten() for prompts in self._prompts
            ]
            scalars['prompt_norm'] = torch.cat(norms).mean()
        for verbalizer in self._verbalizers[:1]:
            lengths = verbalizer.prototypes.norm(dim=-1)  # (K,)
            scalars['prototype_norm'] = lengths.mean()
            scalars['temperature'] = verbalizer.temperature
        return scalars

    @torch.no_grad()
    def _compare_classes(self, data_batch: Any) -> dict[str, Tensor]:
        samples = (data_batch or {}).get('data_samples') or []
        labels = [s.gt_label for s in samples if 'gt_label' in s]
        if (
            self._scores is None
            or len(labels) != len(self._scores)
            or any(label.numel() != 1 for label in labels)
            or self._scores.size(1) < 2
        ):
            return {}
        cosines = self._scores * self._verbalizers[0].temperature  # (B, K)
        own = torch.cat(labels).view(-1, 1).to(cosines.device)  # (B, 1)
        return dict(
            cosine_own=cosines.gather(1, own).mean(),
            cosine_other=cosines.scatter(1, own, -2).amax(1).mean(),
        )
