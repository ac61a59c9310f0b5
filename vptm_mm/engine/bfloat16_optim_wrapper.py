"""Mixed precision on a CPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmpretrain.registry import OPTIM_WRAPPERS
from torch import nn


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
