"""Looks after the loss: it is finite, and the log has that of all images."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce, all_reduce_dict
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch import nn

from ...nn import trainable_parameters
from ..unwrap import unwrap_model

SHOWN = 10


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stop all processes when a loss is NaN or infinite.

    The loss is looked at between forward and backward pass, so that no step
    is taken with it. After each step the trainable parameters are checked,
    too: a finite loss can have a gradient that is not finite, and what it
    leaves must not get into a checkpoint. An infinite gradient that the loss
    scaler of mixed precision skips is not an error.

    The host logs the losses of the first process: those of its part of the
    batch. Here they are averaged over the processes before they are logged;
    one value a loss is sent, with one process nothing is.

    Raises:
        RuntimeError: If a loss, or a parameter after the step, is not finite;
            the text holds iteration, epoch, loss terms and images.
    """

    # Before RuntimeInfoHook, which takes the losses for the log.
    priority = 'HIGHEST'
    _handle: Any = None

    def before_train(self, runner: Runner) -> None:
        """Watch what the model returns."""
        self.after_train(runner)
        self._handle = runner.model.register_forward_hook(
            partial(self._check_loss, runner), with_kwargs=True
        )

    def after_train(self, runner: Runner) -> None:
        """Watch no more."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Look at the parameters; replace each loss by its mean."""
        self._check_parameters(runner)
        if outputs and runner.world_size > 1:
            outputs.update({k: v.detach() for k, v in outputs.items()})
            all_reduce_dict(outputs, op='mean')

    def _check_parameters(self, runner: Runner) -> None:
        trainable = trainable_parameters(unwrap_model(runner.model))
        sums = [
            p.detach().sum(dtype=torch.float32) for p in trainable.values()
        ]
        if not sums or torch.stack(sums).sum().isfinite():
            return
        spoiled = [n for n, p in trainable.items() if not p.isfinite().all()]
        if spoiled:  # else the sum alone was too large
            _stop(
                runner,
                f'the step made {spoiled[0]} NaN or infinite, although the '
                'loss was finite. No checkpoint was written after it',
            )

    def _check_loss(
        self,
        runner: Runner,
        model: nn.Module,
        args: tuple,
        kwargs: dict[str, Any],
        losses: Any,
    ) -> None:
        if kwargs.get('mode') != 'loss':
            return
        total, terms = unwrap_model(runner.model).parse_losses(losses)
        bad = total.detach().isfinite().logical_not()
        anywhere = bad.int()
        # One process that stops alone would leave the others waiting.
        all_reduce(anywhere, 'max')
        if not anywhere:
            return
        report = ''
        if bad:
            values = [f'{k} = {v:g}' for k, v in terms.items() if 'loss' in k]
            images = _name_images(kwargs.get('data_samples') or [])
            report = f'{", ".join(values)}; {images}'
        reports = enumerate(all_gather_object(report))
        _stop(
            runner,
            'the loss is not finite. No step was taken with it',
            *(f'process {rank}: {text}' for rank, text in reports if text),
        )


def _name_images(samples: Sequence[Any]) -> str:
    names = [
        str(s.get('img_path') or f'image {s.get("sample_idx", "?")}')
        for s in samples[:SHOWN]
    ]
    first = f', the first {SHOWN}' if len(samples) > SHOWN else ''
    return f'{len(samples)} images in the batch{first}: {", ".join(names)}'


def _stop(runner: Runner, what: str, *lines: str) -> None:
    text = [
        f'iteration {runner.iter + 1}, epoch {runner.epoch + 1}: {what}.',
        *lines,
        'Try a lower rate (optim_wrapper.optimizer.lr), clip the gradient '
        '(optim_wrapper.clip_grad.max_norm=1), look at the images; in half '
        'precision try optim_wrapper.dtype=bfloat16.',
    ]
    raise RuntimeError('\n  '.join(text))
