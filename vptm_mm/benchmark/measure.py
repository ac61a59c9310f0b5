"""Seconds, memory and arithmetic of inference and of a training step.

Symbols: B batch; S sequence length; C embedding width.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from mmpretrain.models import BEiTPretrainViT
from rich.progress import track
from torch import Tensor, nn
from torch.utils.flop_counter import (
    FlopCounterMode,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)

from .entrants import STOCK, Entrant, Setting

INFERENCE, TRAINING = 'inference', 'training'
# What outputs may differ by, as a fraction of their norm.
TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 0.05}
# Of the product that is timed as the limit: a tenth of a second of two cores,
# some milliseconds of a GPU.
LEAST_FLOPS = {'cpu': 2e10, 'cuda': 2e12}
# Kernels for CPUs that the counter does not know, from torch 2.2 on.
_CPU_KERNEL = '_scaled_dot_product_flash_attention_for_cpu'
_CPU_KERNELS = {
    getattr(torch.ops.aten, name): count
    for name, count in (
        (_CPU_KERNEL, lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v)),
        (
            f'{_CPU_KERNEL}_backward',
            lambda grad, q, k, v, *_, **__: sdpa_backward_flop_count(
                grad, q, k, v
            ),
        ),
    )
    if hasattr(torch.ops.aten, name)
}


def device_that_is_timed(name: str) -> str:
    """Check ``--device``: a CPU or a GPU of CUDA.

    Raises:
        argparse.ArgumentTypeError: If it is another one, or not there.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f'{name!r}: {error}') from None
    gpus = torch.cuda.device_count()
    if device.type == 'cuda' and (device.index or 0) >= gpus:
        raise argparse.ArgumentTypeError(f'{name!r}: there are {gpus} GPUs')
    if device.type not in ('cpu', 'cuda'):
        raise argparse.ArgumentTypeError(f'{name!r} must be cpu or cuda[:N]')
    return name


@torch.no_grad()
def check(entrants: Mapping[str, Entrant], images: Tensor) -> dict[str, float]:
    """Compare the outputs of those that compute the same.

    Args:
        entrants: By name, with those that others are the same as.
        images: A few images.

    Returns:
        The difference of each from the one that it is the same as: its norm,
        as a fraction of the output's.

    Raises:
        RuntimeError: If one is above ``TOLERANCES``.
    """
    outputs = {
        name: entrant.module(entrant.inputs(images))[0].float()
        for name, entrant in entrants.items()
    }
    differences = {}
    for name, entrant in entrants.items():
        if entrant.same_as in (None, name):
            continue
        expected = outputs[entrant.same_as]
        difference = (outputs[name] - expected).norm() / expected.norm()
        tolerance = TOLERANCES[entrant.dtype]
        if not difference <= tolerance:
            raise RuntimeError(
                f'{name} differs from {entrant.same_as} by {difference:.1e} '
                f'of its norm, over {tolerance}; nothing is timed.'
            )
        differences[name] = difference.item()
    return differences


def make_inference(module: nn.Module, x: Tensor) -> Callable[[], None]:
    """Return a function that predicts."""

    def infer() -> None:
        with torch.no_grad():
            module(x)

    return infer


def make_training_step(module: nn.Module, x: Tensor) -> Callable[[], None]:
    """Return a function that runs forward, backward and optimizer."""
    tuned = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(tuned, lr=0.0)

    def step() -> None:
        optimizer.zero_grad()
        module(x)[-1].float().square().mean().backward()
        optimizer.step()

    return step


def interleaved_seconds(
    runs: Mapping[Any, Callable[[], None]],
    repetitions: int,
    device: str,
    description: str,
) -> dict[Any, list[float]]:
    """Time functions in turn, so that a busy machine slows them alike.

    Args:
        runs: The functions; each warms up once.
        repetitions: Times that each is timed.
        device: Where they run.
        description: Shown beside the progress.
    """
    times: dict[Any, list[float]] = {key: [] for key in runs}
    for repetition in track(range(repetitions + 1), description=description):
        for key, function in runs.items():
            taken = seconds(function, device)
            if repetition:
                times[key].append(taken)
    return times


def seconds(function: Callable[[], None], device: str) -> float:
    """Time a function, to the end of what it started on the device."""
    if device != 'cpu':
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    function()
    if device != 'cpu':
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def count_flops(function: Callable[[], None]) -> int:
    """Count the arithmetic of matrix products, two for a multiply-add."""
    counter = FlopCounterMode(display=False, custom_mapping=_CPU_KERNELS)
    with counter:
        function()
    # Its hooks hold the graph of the step, gigabytes with large batches.
    gc.collect()
    return counter.get_total_flops()


def kept_mb(module: nn.Module, x: Tensor) -> float:
    """Return the memory that forward keeps for backward, in MB."""
    weights = {
        tensor.untyped_storage().data_ptr()
        for tensor in (*module.parameters(), *module.buffers())
    }
    sizes: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            sizes[storage.data_ptr()] = storage.nbytes()
        # Not the tensor itself: an output would hold its own graph for ever.
        return tensor.detach()

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        out = module(x)
    del out
    return sum(sizes.values()) / 1e6


def measure_batch(
    setting: Setting,
    entrants: Mapping[str, Entrant],
    batch_size: int,
    repetitions: int,
) -> list[dict[str, Any]]:
    """Measure all entrants on one batch.

    Args:
        setting: What they share.
        entrants: By name, the stock blocks among them.
        batch_size: Images B.
        repetitions: Times that each is timed.

    Returns:
        A row for each entrant and inference or training: ``median_s``,
        ``fastest_s`` and ``slowest_s`` in seconds; ``faster``, the median
        ratio to the stock blocks; ``flops`` of a run, and ``of_limit``, their
        rate over ``limit``, that of a matrix product in the same type, in
        operations a second; for training ``kept_mb``.
    """
    # What is compiled is compiled for this batch, as in a run. Models of one
    # class share torch's few places for compiled code: beyond them, and for
    # another batch, they would run uncompiled or with a batch of any size.
    torch.compiler.reset()
    images = setting.images(batch_size)
    inputs = {name: one.inputs(images) for name, one in entrants.items()}
    runs: dict[Any, Callable[[], None]] = {}
    dtypes = {entrant.dtype for entrant in entrants.values()}
    products = {
        dtype: _Product(setting, batch_size, dtype) for dtype in dtypes
    }
    for dtype, product in products.items():
        runs[dtype] = product
    for name, entrant in entrants.items():
        runs[name, INFERENCE] = make_inference(entrant.module, inputs[name])
        runs[name, TRAINING] = make_training_step(entrant.module, inputs[name])
    times = interleaved_seconds(
        runs, repetitions, setting.device, f'batch {batch_size}'
    )
    rows = []
    for name, entrant in entrants.items():
        torch.compiler.reset()
        product = products[entrant.dtype]
        rate = product.flops / statistics.median(times[entrant.dtype])
        for what in (INFERENCE, TRAINING):
            taken = times[name, what]
            row: dict[str, Any] = dict(
                batch_size=batch_size,
                what=what,
                name=name,
                **summary(taken),
                # Within a repetition, so that a busy machine slows both.
                faster=statistics.median(
                    stock / own
                    for stock, own in zip(
                        times[STOCK, what], taken, strict=True
                    )
                ),
            )
            row['flops'] = count_flops(runs[name, what])
            if what == TRAINING:
                row['kept_mb'] = kept_mb(entrant.module, inputs[name])
            row['limit'] = rate
            row['of_limit'] = row['flops'] / row['median_s'] / rate
            rows.append(row)
    return rows


def summary(times: Sequence[float]) -> dict[str, float]:
    """Return median and spread, in seconds."""
    return dict(
        median_s=statistics.median(times),
        fastest_s=min(times),
        slowest_s=max(times),
    )


class _Product:
    """The machine's limit: the first product of the MLP, nothing else.

    Small ones are repeated: the clock of one alone would say little.
    """

    def __init__(
        self, setting: Setting, batch_size: int, dtype: torch.dtype
    ) -> None:
        width = BEiTPretrainViT.arch_zoo[setting.arch]['embed_dims']
        rows = batch_size * setting.num_tokens
        self.states = torch.ones(
            rows, width, dtype=dtype, device=setting.device
        )
        self.weight = self.states.new_ones((width, 4 * width))
        flops = 2 * rows * width * 4 * width
        least = LEAST_FLOPS[self.states.device.type]
        self.times = max(1, int(least / flops))
        self.flops = self.times * flops

    def __call__(self) -> None:
        for _ in range(self.times):
            _ = self.states @ self.weight
