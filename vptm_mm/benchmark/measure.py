"""Seconds, memory and arithmetic of inference and of a training step.

Symbols: B batch.
"""

import argparse
import gc
import math
import random
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
# Of the product that is timed as the limit.
LEAST_SECONDS = 0.2
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

    The order is drawn anew for each repetition: what runs before leaves the
    processor at another clock, and other data in its caches.

    Args:
        runs: The functions; each warms up once.
        repetitions: Times that each is timed.
        device: Where they run.
        description: Shown beside the progress.
    """
    times: dict[Any, list[float]] = {key: [] for key in runs}
    order = list(runs)
    for repetition in track(range(repetitions + 1), description=description):
        random.Random(repetition).shuffle(order)
        for key in order:
            taken = seconds(runs[key], device)
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

    Those that compute in one type take turns, and then those of the next:
    some processors lower their clock after instructions for ``bfloat16``.

    Args:
        setting: What they share.
        entrants: By name, the stock blocks among them.
        batch_size: Images B.
        repetitions: Times that each is timed.

    Returns:
        A row for each entrant and inference or training: ``median_s``,
        ``fastest_s`` and ``slowest_s`` in seconds; ``faster``, the ratio of
        the medians of the stock blocks in ``float32`` and its own; ``flops``
        of a run, and ``of_limit``, their rate over ``limit``, that of a matrix
        product in the same type, in operations a second; for training
        ``kept_mb``.
    """
    # What is compiled is compiled for this batch, as in a run. Models of one
    # class share torch's few places for compiled code: beyond them, and for
    # another batch, they would run uncompiled or with a batch of any size.
    torch.compiler.reset()
    images = setting.images(batch_size)
    inputs = {name: one.inputs(images) for name, one in entrants.items()}
    runs: dict[Any, Callable[[], None]] = {}
    for name, entrant in entrants.items():
        runs[name, INFERENCE] = make_inference(entrant.module, inputs[name])
        runs[name, TRAINING] = make_training_step(entrant.module, inputs[name])
    times: dict[Any, list[float]] = {}
    limits = {}
    for dtype in {entrant.dtype: None for entrant in entrants.values()}:
        product = _Product(setting, batch_size, dtype)
        here = {
            key: run
            for key, run in runs.items()
            if entrants[key[0]].dtype == dtype
        }
        times |= interleaved_seconds(
            {**here, product: product},
            repetitions,
            setting.device,
            f'batch {batch_size}, {str(dtype).removeprefix("torch.")}',
        )
        limits[dtype] = product.flops / statistics.median(times[product])
    rows = []
    for name, entrant in entrants.items():
        torch.compiler.reset()
        rate = limits[entrant.dtype]
        for what in (INFERENCE, TRAINING):
            own = summary(times[name, what])
            stock = summary(times[STOCK, what])
            row: dict[str, Any] = dict(
                batch_size=batch_size,
                what=what,
                name=name,
                **own,
                faster=stock['median_s'] / own['median_s'],
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
        options: dict[str, Any] = dict(dtype=dtype, device=setting.device)
        self.states = torch.randn(rows, width, **options)
        self.weight = torch.randn(width, 4 * width, **options)
        self.times = 10
        seconds(self, setting.device)
        taken = seconds(self, setting.device) / self.times
        self.times = math.ceil(LEAST_SECONDS / taken)
        self.flops = self.times * 2 * rows * width * 4 * width

    def __call__(self) -> None:
        for _ in range(self.times):
            _ = self.states @ self.weight
