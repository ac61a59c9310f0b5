"""A task in a pool: its prompts, its head, its preprocessing.

Symbols: C embedding width; K classes.
"""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import Compose, LoadImageFromFile
from mmpretrain.registry import MODELS, TRANSFORMS
from torch import Tensor, nn

from ...bricks import PromptTokens, TokenSequence, compare_states, freeze
from ...checkpoints import Task
from ...image_content import read_file
from ..backbones.vptm_backbone import VPTMBackbone

DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(VPTMBackbone).parameters.items()
}


class PooledTask(nn.Module):
    """A task in a pool: its prompts, its head, its preprocessing.

    Args:
        task: The task; its backbone must be a ``VPTMBackbone``.
        embed_dims: Width C of the backbone.
    """

    def __init__(self, task: Task, embed_dims: int) -> None:
        super().__init__()
        options = backbone_options(task)
        self.visual_token = options['visual_token']
        self.masks = (options['mask_grid'], options['mask_bias'])
        self.prompt_bias = options['prompt_bias']
        self.prompt_tokens = PromptTokens(
            embed_dims, options['prompt_length'], options['prompt_blocks']
        )
        head = {k: v for k, v in task.model['head'].items() if k != 'init_cfg'}
        self.head = MODELS.build(head)
        self.classes = task.classes
        self.num_bytes = task.num_bytes
        # Where the prompts stand cannot change the result; here they are last.
        self.sequence: TokenSequence
        steps = [TRANSFORMS.build(transform) for transform in task.pipeline]
        self.pipeline = Compose(
            [s for s in steps if not isinstance(s, LoadImageFromFile)]
        )
        self.data_preprocessor = MODELS.build(
            {'type': 'ClsDataPreprocessor', **task.data_preprocessor}
        )
        self.preparation = repr((task.pipeline, task.data_preprocessor))
        self._load(task.tensors)
        freeze(self)

    def _load(self, tensors: Mapping[str, Tensor]) -> None:
        own = {
            'backbone.prompt_tokens.' + name: tensor
            for name, tensor in self.prompt_tokens.state_dict().items()
        }
        own.update(
            ('head.' + name, tensor)
            for name, tensor in self.head.state_dict().items()
        )
        difference = compare_states(own, tensors)
        if difference:
            raise ValueError(
                'its tensors do not fit its config (- missing, + unexpected, '
                f'! wrong):\n  {difference}'
            )
        for prefix, module in (
            ('backbone.prompt_tokens.', self.prompt_tokens),
            ('head.', self.head),
        ):
            module.load_state_dict(
                {
                    name.removeprefix(prefix): tensor
                    for name, tensor in tensors.items()
                    if name.startswith(prefix)
                }
            )

    @property
    def layout(self) -> tuple:
        """What decides the position bias; tasks with the same share it."""
        return (*self.masks, self.prompt_tokens.length, self.prompt_bias)


def backbone_options(task: Task) -> dict[str, Any]:
    """Return all options of a task's ``VPTMBackbone``."""
    return {**DEFAULTS, **task.model['backbone']}


def read_image(image: str | Path | np.ndarray) -> np.ndarray:
    """Return an image as ``(height, width, 3)`` in uint8 and BGR.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no readable image, or an array of another kind.
    """
    if isinstance(image, np.ndarray):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(
                f'an image of shape {image.shape} and type {image.dtype} must '
                'be (height, width, 3) in uint8 and BGR.'
            )
        return image
    return read_file(image)


def prepare(pixels: np.ndarray, task: PooledTask) -> Tensor:
    """Turn an image into a task's normalised input, ``(3, H, W)``."""
    size = pixels.shape[:2]
    packed = task.pipeline(dict(img=pixels, img_shape=size, ori_shape=size))
    return task.data_preprocessor(dict(inputs=packed['inputs'][None]), False)[
        'inputs'
    ][0]
