"""A task in a pool: its prompts, its head, its preprocessing.

Symbols: B batch; P prompt tokens; M masks; C embedding width; K classes.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from mmcv.transforms import Compose, LoadImageFromFile
from mmpretrain.registry import MODELS
from PIL import Image, ImageOps
from torch import Tensor, nn

from ...image_files import find_files
from ...image_loader import LoadCheckedImage
from ...models import AdaptedBackbone, VPTMBackbone
from ...models.encoder import FrozenEncoder
from ...models.readouts import MaskReadout
from ...models.tunings import PromptTuning, Tuning
from ...nn import TokenSequence, Unfilled, freeze, require_same_state
from ..build import build_preprocessing
from ..task import Task

# What a pool classifies: a path, an array in BGR, or an image of Pillow.
Picture = str | Path | np.ndarray | Image.Image


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
        task: The task; its backbone has prompts that are read at [MASK].
        encoder: What it is served on.
        sequences: Those of other tasks, by their layouts.
    """

    def __init__(
        self,
        task: Task,
        encoder: FrozenEncoder,
        sequences: Mapping[tuple, TokenSequence],
    ) -> None:
        super().__init__()
        with Unfilled():  # a file may ask for more than there is memory
            tuning, self.readout = _parts(task, encoder)
            self.prompt_tokens = tuning.prompt_tokens
            self.head = MODELS.build(task.head)
        self._load(task.tensors)
        # The block that its prompts enter; no block, without prompts.
        self.start = min(self.prompt_tokens.blocks, default=math.inf)
        # What decides the position bias; tasks with the same share it. Where
        # the prompts stand cannot change the result; here they are last.
        self.mask_layout = self.readout.mask_layout
        length, _, bias = tuning.prompt_layout
        self.layout = (*self.mask_layout, length, 'after_mask', bias)
        self.sequence = sequences.get(self.layout) or TokenSequence(
            encoder.patch_resolution, *self.layout
        )
        self.classes = task.classes
        self.num_bytes = task.num_bytes
        steps, self.data_preprocessor = build_preprocessing(task)
        loaders = [s for s in steps if isinstance(s, LoadImageFromFile)]
        self.pipeline = Compose([s for s in steps if s not in loaders])
        self.loader = loaders[0] if loaders else LoadCheckedImage()
        if type(self.loader) in (LoadImageFromFile, LoadCheckedImage):
            # The host's fills up a file that is cut short; ours may keep it.
            self.loader = LoadCheckedImage(
                self.loader.to_float32,
                self.loader.color_type,
                self.loader.imdecode_backend,
            )
        self.preparation = repr((task.pipeline, task.data_preprocessor))
        freeze(self)
        self.dtype = torch.float32  # what its own tensors compute in

    def _apply(self, fn: Any, recurse: bool = True) -> 'PooledTask':
        super()._apply(fn, recurse)
        # It keeps a device of its own, which a parent does not change.
        parameter = next(self.parameters(), None)
        if parameter is not None:
            self.data_preprocessor.to(parameter.device)
            self.dtype = parameter.dtype
        return self

    def prepare(self, image: Picture) -> Tensor:
        """Turn an image into a normalised input, ``(3, H, W)``.

        A file is read as the task's own loader does; what is not a path has
        been loaded.
        """
        if isinstance(image, (str, Path)):
            loaded = self.loader(dict(img_path=str(image)))
        else:
            pixels = _to_pixels(image)
            size = pixels.shape[:2]
            loaded = dict(img=pixels, img_shape=size, ori_shape=size)
        images = dict(inputs=self.pipeline(loaded)['inputs'][None])
        return self.data_preprocessor(images, False)['inputs'][0]

    def _load(self, tensors: Mapping[str, Tensor]) -> None:
        backbone = nn.ModuleDict(dict(prompt_tokens=self.prompt_tokens))
        named = nn.ModuleDict(dict(backbone=backbone, head=self.head))
        require_same_state(
            named.state_dict(), tensors, 'its tensors do not fit its config'
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
        return self.head((feature.to(self.dtype),))

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


def _parts(task: Task, encoder: FrozenEncoder) -> tuple[Tuning, MaskReadout]:
    """Build tuning and readout of a task on an encoder that others share."""
    options = {**task.backbone, 'encoder': encoder}
    kind = MODELS.get(options.pop('type'))
    if kind in (VPTMBackbone, AdaptedBackbone):
        backbone = kind(**options)
        freeze(encoder)  # whatever the tuning trains
        tuning, readout = backbone.tuning, backbone.readout
        is_prompted = type(tuning) in (PromptTuning, Tuning)
        if is_prompted and type(readout) is MaskReadout:
            return tuning, readout
    raise ValueError(
        f'its backbone is {task.backbone["type"]!r}; a pool takes prompts '
        'that are read at [MASK], as in VPTMBackbone.'
    )


def list_images(images: str | Path | Iterable[Picture]) -> list[Picture]:
    """List the images of a folder, one image, or what was given."""
    if not isinstance(images, (str, Path)):
        return list(images)
    path = Path(images).expanduser()
    if not path.is_dir():
        return [path]
    found, _ = find_files(path)
    if not found:
        raise FileNotFoundError(f'no image below {path.absolute()}')
    return list(found)


def _to_pixels(image: np.ndarray | Image.Image) -> np.ndarray:
    """Return an image as ``(height, width, 3)`` in uint8 and BGR."""
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
