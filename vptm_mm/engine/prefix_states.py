"""Puts states in the place of images, in data sets, models and files.

Symbols: B batch; S sequence length; C embedding width; R views; n images.
"""

import json
from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from mmpretrain.datasets import PackInputs
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..weights import open_whole
from .position_seeds import View, parts_of

DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16}
CODES = {torch.float32: 'F32', torch.bfloat16: 'BF16'}


class CachedInputs(View):
    """A whole pipeline: packs an image's states and its label.

    Args:
        states: ``(R, n, S, C)``.
        first: View of this epoch, in shared memory, so that workers that are
            kept from one epoch to the next see it change.
        pack: The end of the pipeline that it replaces.
    """

    def __init__(
        self, states: Tensor, first: Tensor, pack: PackInputs
    ) -> None:
        self.states = states
        self.first = first
        self.pack = pack

    def __call__(self, results: dict) -> dict:
        """Leave the image alone."""
        view = (int(self.first) + self.view) % len(self.states)
        states = self.states[view, int(results['sample_idx'])]
        results.pop(self.pack.input_key, None)
        # A copy: a worker would send all states that it is a part of.
        return {**self.pack(results), 'inputs': states.clone()}


class StatePreprocessor(BaseDataPreprocessor):
    """Lets states pass, and gives images to the preprocessor of images.

    Args:
        images: The model's own preprocessor.
    """

    def __init__(self, images: BaseDataPreprocessor) -> None:
        super().__init__()
        self.images = images
        self.to(images.device)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Stack states; labels are treated as those of images."""
        inputs = data['inputs']
        if inputs[0].ndim != 2:
            return self.images(data, training)
        states = self.cast_data(torch.stack(list(inputs)))  # (B, S, C)
        pixels = torch.zeros(len(states), 3, 1, 1)
        return {
            **self.images({**data, 'inputs': pixels}, training),
            'inputs': states,
        }


def leaf_datasets(dataset: Any) -> list[Any]:
    """Return the data sets inside of wrappers that have a pipeline.

    Raises:
        ValueError: If a pipeline does not end with ``PackInputs``.
    """
    leaves = [
        part
        for part in parts_of(dataset)
        if not (hasattr(part, 'dataset') or hasattr(part, 'datasets'))
    ]
    for leaf in leaves:
        steps = getattr(getattr(leaf, 'pipeline', None), 'transforms', [])
        if not steps or not isinstance(steps[-1], (PackInputs, CachedInputs)):
            raise ValueError(
                f'{type(leaf).__name__} has no pipeline that ends with '
                'PackInputs, so its states cannot be kept; add it, or remove '
                'PrefixCacheHook.'
            )
    return leaves


def write_states(
    path: Path,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    pieces: Iterable[Tensor],
) -> None:
    """Write states so that the file is there whole, or not at all.

    The format is that of safetensors, whose own writer wants all at once.

    Args:
        path: The file; its folder must exist.
        shape: Shape of all states.
        dtype: ``torch.float32`` or ``torch.bfloat16``.
        pieces: The states, in their order.

    Raises:
        WriteError: If the disk has no room for them, or fails.
    """
    size = prod(shape) * dtype.itemsize
    states = dict(
        dtype=CODES[dtype], shape=list(shape), data_offsets=[0, size]
    )
    header = json.dumps(dict(states=states)).encode()
    header += b' ' * (-len(header) % 8)
    with open_whole(path) as file:
        file.write(len(header).to_bytes(8, 'little') + header)
        for piece in pieces:
            file.write(piece.contiguous().view(torch.uint8).numpy().data)


def read_states(path: Path) -> Tensor:
    """Map a file into memory.

    Raises:
        ValueError: If it is cut short or has no states.
    """
    try:
        with safe_open(path, 'pt') as file:
            return file.get_tensor('states')
    except SafetensorError as error:
        raise ValueError(
            f'{path} is damaged ({error}); delete it, and it is made again.'
        ) from error
