"""A task in a pool: its prompts, its head, its preprocessing.

Symbols: B batch; P prompt tokens; M masks; C embedding width; K classes.
"""

import inspect
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from mmcv.transforms import Compose, LoadImageFromFile
from mmpretrain.registry import MODELS
from PIL import Image, ImageOps
from torch import Tensor, nn

from ...image_content import read_file
from ...image_files import find_files
from ...models.backbones.vptm_backbone import VPTMBackbone
from ...models.encoder import FrozenEncoder
from ...models.readouts import MaskReadout
from ...nn import PromptTokens, TokenSequence, compare_states, freeze
from ..build import build_preprocessing
from ..task import Task

# Packages whose loaders are followed, not called: they fill up a file that is
# cut short, or keep what they have read.
READ_BY_US = ('mmcv.', 'vptm_mm.')
# What a pool classifies: a path, an array in BGR, or an image of Pillow.
Picture = str | Path | np.ndarray | Image.Image
DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(VPTMBackbone).parameters.items()
}


class Prediction(TypedDict):
    """Class and probabilities of an image, named as in MMPretrain.

    ``pred_class`` is the name of the class ``pred_label``, ``pred_score`` its
    probability, ``pred_scores`` those of all classes, ``(K,)``.
    """

    pred_class: str
    pred_label: int
    pred_score: float
    pred_scores: np.ndarray


@dataclass(frozen=True)
class PreparedImage:
    """The inputs that an image becomes, one for each kind of preprocessing.

    Args:
        inputs: One for each way to prepare it, ``(3, H, W)``.
        readers: The names of the tasks that read each of them.
        names: The names of all tasks, in the order of the results.
    """

    inputs: list[Tensor]
    readers: list[list[str]]
    names: list[str]


class PooledTask(nn.Module):
    """A task in a pool: its prompts, its head, its preprocessing.

    Args:
        task: The task; its backbone must be a ``VPTMBackbone``.
        encoder: What it is served on.
        sequences: Those of other tasks, by their layouts.

    Raises:
        ValueError: If it does not fit the encoder, or its tensors do not fit
            its description.
    """

    def __init__(
        self,
        task: Task,
        encoder: FrozenEncoder,
        sequences: Mapping[tuple, TokenSequence],
    ) -> None:
        super().__init__()
        kind = task.backbone['type']
        if kind != 'VPTMBackbone':
            raise ValueError(
                f'its backbone is {kind!r}; a pool takes VPTMBackbone.'
            )
        options = backbone_options(task)
        self.readout = MaskReadout(
            encoder,
            options['mask_grid'],
            options['mask_bias'],
            options['visual_token'],
        )
        self.prompt_tokens = PromptTokens(
            encoder.embed_dims,
            options['prompt_length'],
            options['prompt_blocks'],
            encoder.num_layers,
        )
        # The block that its prompts enter; no block, without prompts.
        self.start = min(self.prompt_tokens.blocks, default=math.inf)
        # What decides the position bias; tasks with the same share it. Where
        # the prompts stand cannot change the result; here they are last.
        self.mask_layout = self.readout.mask_layout
        self.layout = (
            *self.mask_layout,
            self.prompt_tokens.length,
            'after_mask',
            options['prompt_bias'],
        )
        self.sequence = sequences.get(self.layout) or TokenSequence(
            encoder.patch_resolution, *self.layout
        )
        self.head = MODELS.build(task.head)
        self._load(task.tensors)
        self.classes = task.classes
        self.num_bytes = task.num_bytes
        steps, self.data_preprocessor = build_preprocessing(task)
        loaders = [s for s in steps if isinstance(s, LoadImageFromFile)]
        self.loader = loaders[0] if loaders else LoadImageFromFile()
        self.pipeline = Compose([s for s in steps if s not in loaders])
        self.preparation = repr((task.pipeline, task.data_preprocessor))
        freeze(self)

    def _apply(self, fn: Any, recurse: bool = True) -> 'PooledTask':
        super()._apply(fn, recurse)
        # It keeps a device of its own, which a parent does not change.
        parameter = next(self.parameters(), None)
        if parameter is not None:
            self.data_preprocessor.to(parameter.device)
        return self

    def prepare(self, image: Picture) -> Tensor:
        """Turn an image into a normalised input, ``(3, H, W)``.

        A file is read as the task's own loader does; what is not a path has
        been loaded.

        Raises:
            As ``read_image``.
        """
        packed = self.pipeline(self._load_image(image))
        images = dict(inputs=packed['inputs'][None])
        return self.data_preprocessor(images, False)['inputs'][0]

    def _load_image(self, image: Picture) -> dict[str, Any]:
        loader, loaded = self.loader, {}
        if not isinstance(image, (str, Path)):
            pixels = read_image(image)
        elif not type(loader).__module__.startswith(READ_BY_US):
            return loader(dict(img_path=str(image)))
        else:
            loaded = dict(img_path=str(image))
            pixels = read_file(
                image, loader.color_type, loader.imdecode_backend
            )
            if loader.to_float32:
                pixels = pixels.astype(np.float32)
        size = pixels.shape[:2]
        return dict(loaded, img=pixels, img_shape=size, ori_shape=size)

    def _load(self, tensors: Mapping[str, Tensor]) -> None:
        backbone = nn.ModuleDict(dict(prompt_tokens=self.prompt_tokens))
        named = nn.ModuleDict(dict(backbone=backbone, head=self.head))
        difference = compare_states(named.state_dict(), tensors)
        if difference:
            raise ValueError(
                'its tensors do not fit its config (- missing, + unexpected, '
                f'! wrong):\n  {difference}'
            )
        named.load_state_dict(dict(tensors))

    def prompts_at(self, block: int) -> Tensor:
        """Return the prompts of a block, ``(P, C)``."""
        index = self.prompt_tokens.blocks.index(block)
        return self.prompt_tokens.prompts[index]  # type: ignore[index]

    def score(self, states: Tensor, encoder: FrozenEncoder) -> Tensor:
        """Turn states at [MASK] into scores of the classes.

        Args:
            states: Its own masks stand first, ``(B, M, C)``.
            encoder: What they come from.

        Returns:
            ``(B, K)``.
        """
        own = states[:, : self.sequence.num_masks]
        feature = self.readout(own, encoder, self.sequence)
        tuned = next(self.parameters(), feature)
        return self.head((feature.to(tuned.dtype),))

    def prediction(self, score: Tensor) -> Prediction:
        """Turn scores ``(K,)`` into what MMPretrain's inferencer gives."""
        shares = score.float().softmax(-1).cpu()
        label = int(shares.argmax())
        return Prediction(
            pred_scores=shares.numpy(),
            pred_label=label,
            pred_score=float(shares[label]),
            pred_class=self.classes[label],
        )


def backbone_options(task: Task) -> dict[str, Any]:
    """Return all options of a task's ``VPTMBackbone``."""
    return {**DEFAULTS, **task.backbone}


def list_images(images: str | Path | Iterable[Picture]) -> list[Picture]:
    """Return the images of a folder, one image, or what was given, as a list.

    Raises:
        FileNotFoundError: If a folder holds no image.
    """
    if not isinstance(images, (str, Path)):
        return list(images)
    path = Path(images).expanduser()
    if not path.is_dir():
        return [path]
    found, _ = find_files(path)
    if not found:
        raise FileNotFoundError(f'no image below {path.absolute()}')
    return list(found)


def read_image(image: Picture) -> np.ndarray:
    """Return an image as ``(height, width, 3)`` in uint8 and BGR.

    Raises:
        FileNotFoundError: If there is no such file.
        TypeError: If it is neither a path nor an array nor of Pillow.
        ValueError: If it is not a readable image, or an array of another kind.
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
