"""Puts states in the place of images, in data sets and in models.

Symbols: B batch; S sequence length; C embedding width; R views; n images.
"""

from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from mmpretrain.datasets import PackInputs
from torch import Tensor, nn

from ..position_seeds import View


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
        ValueError: If a pipeline does not end with ``PackInputs``, or there
            is none.
    """
    inner = [getattr(dataset, 'dataset', None)]
    inner += getattr(dataset, 'datasets', [])
    parts = [part for part in inner if part is not None]
    if parts:
        return [leaf for part in parts for leaf in leaf_datasets(part)]
    pipeline = getattr(dataset, 'pipeline', None)
    transforms = getattr(pipeline, 'transforms', [])
    last = transforms[-1] if transforms else None
    if not isinstance(last, (PackInputs, CachedInputs)):
        raise ValueError(
            f'{type(dataset).__name__} has no pipeline that ends with '
            'PackInputs, so its states cannot be kept; add it, or remove '
            'PrefixCacheHook.'
        )
    return [dataset]


def require_whole_images(preprocessor: nn.Module) -> None:
    """Refuse what mixes images after they were loaded.

    Raises:
        ValueError: If there is mixup, cutmix or the like.
    """
    if getattr(preprocessor, 'batch_augments', None) is not None:
        raise ValueError(
            'model.train_cfg.augments mixes images, and states of single '
            'images are kept; remove it, or remove PrefixCacheHook.'
        )
