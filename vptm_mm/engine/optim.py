"""Optimizers: over the trainable parameters, and in half precision on CPUs."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmpretrain.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS
from torch import nn

from ..host import without_frozen
from ..nn import trainable_parameters


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class TunedOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """The host's constructor, without the frozen parameters.

    The host's own puts frozen parameters into the groups, or logs a warning
    for each of them. ``paramwise_cfg`` works as in the host.

    Raises:
        ValueError: If the model has no trainable parameter.
    """

    def __init__(
        self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None
    ) -> None:
        # An empty paramwise_cfg would make the host take all parameters.
        super().__init__(
            optim_wrapper_cfg, paramwise_cfg or dict(custom_keys={})
        )

    def add_params(
        self,
        params: list[dict],
        module: nn.Module,
        prefix: str = '',
        is_dcn_module: int | float | None = None,
    ) -> None:
        """Skip what is frozen: whole modules, and parameters of others."""
        if not trainable_parameters(module):
            return
        # The host warns of each frozen parameter that it sees.
        seen = without_frozen(module)
        super().add_params(params, seen, prefix, is_dcn_module)

    def __call__(self, model: nn.Module) -> OptimWrapper:
        if not trainable_parameters(model):
            raise ValueError(
                f'{type(model).__name__} has no trainable parameter: all are '
                'frozen. Give it prompts or a head.'
            )
        return super().__call__(model)


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """The host's wrapper, with the model's forward pass in ``bfloat16``.

    Matrix products are computed in ``bfloat16``; weights, gradients and the
    optimizer stay in single precision, as in ``AmpOptimWrapper``, which needs
    a GPU. The loss needs no scale: ``bfloat16`` reaches as far as ``float32``.
    CPUs without instructions for it (AVX512-BF16, AMX) get slower.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        device = next(model.parameters()).device.type
        with (
            super().optim_context(model),
            torch.autocast(device, dtype=torch.bfloat16),
        ):
            yield
