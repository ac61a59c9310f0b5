"""A task in a pool: its prompts, its head, its preprocessing.

Symbols: C embedding width; K classes.
"""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import Compose, LoadImageFromFile
from mmpretrain.registry import MODELS
from PIL import Image, ImageOps
from torch import Tensor, nn

from ...image_content import read_file
from ...models.backbones.vptm_backbone import VPTMBackbone
from ...nn import PromptTokens, TokenSequence, compare_states, freeze
from .. import Task, build_preprocessing

# Packages whose loaders are followed, not called: they fill up a file that is
# cut short, or keep what they have read.
READ_BY_US = ('mmcv.', 'vptm_mm.')
# What a pool classifies: a path, an array in BGR, or an image of Pillow.
Picture = str | Path | np.ndarray | Image.Image
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
        self.head = MODELS.build(task.head)
        self.classes = task.classes
        self.num_bytes = task.num_bytes
        # Where the prompts stand cannot change the result; here they are last.
        self.sequence: TokenSequence
        steps, self.data_preprocessor = build_preprocessing(task)
        loaders = [s for s in steps if isinstance(s, LoadImageFromFile)]
        self.loader = loaders[0] if loaders else LoadImageFromFile()
        self.loading = repr(self.loader)
        self.pipeline = Compose([s for s in steps if s not in loaders])
        self.preparation = repr((task.pipeline, task.data_preprocessor))
        self._load(task.tensors)
        freeze(self)

    def _apply(self, fn: Any, recurse: bool = True) -> 'PooledTask':
        super()._apply(fn, recurse)
        # It keeps a device of its own, which a parent does not change.
        self.data_preprocessor.to(next(self.parameters()).device)
        return self

    def load(self, image: Picture) -> dict[str, Any]:
        """Return an image as the task's own loader does.

        What is no path has been loaded.

        Raises:
            As ``read_image``.
        """
        if isinstance(image, (str, Path)):
            if not type(self.loader).__module__.startswith(READ_BY_US):
                return self.loader(dict(img_path=str(image)))
            pixels = read_file(
                image, self.loader.color_type, self.loader.imdecode_backend
            )
            if self.loader.to_float32:
                pixels = pixels.astype(np.float32)
            path = dict(img_path=str(image))
        else:
            pixels, path = read_image(image), {}
        size = pixels.shape[:2]
        return dict(img=pixels, img_shape=size, ori_shape=size, **path)

    def prepare(self, loaded: dict[str, Any]) -> Tensor:
        """Turn what was loaded into a normalised input, ``(3, H, W)``."""
        # A copy: several tasks may share it.
        packed = self.pipeline(dict(loaded))
        images = dict(inputs=packed['inputs'][None])
        return self.data_preprocessor(images, False)['inputs'][0]

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
    return {**DEFAULTS, **task.backbone}


def read_image(image: Picture) -> np.ndarray:
    """Return an image as ``(height, width, 3)`` in uint8 and BGR.

    Raises:
        FileNotFoundError: If there is no such file.
        TypeError: If it is neither a path nor an array nor of Pillow.
        ValueError: If it is no readable image, or an array of another kind.
    """
    if isinstance(image, (str, Path)):
        return read_file(image)
    if isinstance(image, Image.Image):
        if image.mode[0] in 'IF':
            raise ValueError(
                f'an image of mode {image.mode!r} has more than 8 bits, which '
                "Pillow would clip; scale it and give image.convert('RGB')."
            )
        # As a decoder turns what a file holds.
        upright = ImageOps.exif_transpose(image).convert('RGB')
        return np.ascontiguousarray(np.asarray(upright)[..., ::-1])
    if not isinstance(image, np.ndarray):
        raise TypeError(
            f'an image of type {type(image).__name__} must be a path, an '
            'array (height, width, 3) in uint8 and BGR, or a PIL.Image.'
        )
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f'an image of shape {image.shape} and type {image.dtype} must '
            'be (height, width, 3) in uint8 and BGR.'
        )
    return image


def prepare(image: Picture, task: PooledTask) -> Tensor:
    """Turn an image into a task's normalised input, ``(3, H, W)``."""
    return task.prepare(task.load(image))
