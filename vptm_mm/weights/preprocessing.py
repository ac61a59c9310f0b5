"""How images were normalised when weights were trained on them."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from mmengine.logging import MMLogger
from torch import Tensor, nn

from ..host import turns_to_rgb

META = 'data_preprocessor'  # of a file that ExportWeightsHook writes
CLOSE = 0.1  # of 255 grey levels: what decimals of a mean differ by


class Preprocessing(NamedTuple):
    """The normalisation of the pixels 0-255 of an image.

    Args:
        mean: Of each channel.
        std: Standard deviation of each channel.
        to_rgb: Whether BGR, in which images are loaded, becomes RGB.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    to_rgb: bool

    def __str__(self) -> str:
        """Return it as a config has it."""
        return (
            f'data_preprocessor=dict(mean={[*self.mean]}, std={[*self.std]}, '
            f'to_rgb={self.to_rgb})'
        )

    def is_like(self, other: 'Preprocessing') -> bool:
        """Whether another does the same, but for rounding."""
        ours, theirs = (
            torch.tensor([*one.mean, *one.std]) for one in (self, other)
        )
        return (
            self.to_rgb == other.to_rgb
            and ours.shape == theirs.shape
            and torch.allclose(ours, theirs, rtol=0, atol=CLOSE)
        )


IMAGENET = Preprocessing(
    (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), True
)
HALF = Preprocessing((127.5,) * 3, (127.5,) * 3, True)


def preprocessing_of(module: nn.Module | None) -> Preprocessing | None:
    """Return what a data preprocessor of the host does; None for nothing."""
    mean: Tensor | None = getattr(module, 'mean', None)
    std: Tensor | None = getattr(module, 'std', None)
    if mean is None or std is None:
        return None
    numbers = [
        tuple(round(value, 4) for value in tensor.flatten().tolist())
        for tensor in (mean, std)
    ]
    return Preprocessing(numbers[0], numbers[1], turns_to_rgb(module))


def trained_with(
    path: Path, layout: str, dropped: list[str], meta: dict[str, Any]
) -> Preprocessing | None:
    """Return how the images of a pre-training were normalised, if known.

    Files of our own say it. BEiT and BEiT v2 have the same architecture; v2
    comes with auxiliary layers in Microsoft's files, or by its name.

    Args:
        path: The file.
        layout: Name of its layout.
        dropped: Names in it that are not read.
        meta: What stands beside its tensors.
    """
    known = meta.get(META)
    if isinstance(known, str):  # in safetensors
        known = json.loads(known)
    if isinstance(known, dict):
        return Preprocessing(
            tuple(known['mean']), tuple(known['std']), known['to_rgb']
        )
    if layout == 'VPTM':  # of any backbone
        return None
    is_first = layout in ('Microsoft', 'transformers') and not any(
        name.startswith('cls_pt_') for name in dropped
    )
    if is_first and not re.search('beit-?v2', path.name, re.IGNORECASE):
        return HALF
    return IMAGENET


@runtime_checkable
class Pretrained(Protocol):
    """An encoder or a backbone that knows how it was pre-trained."""

    @property
    def trained_with(self) -> Preprocessing | None:
        """How images were normalised; None if nobody knows."""


def warn_of_preprocessing(
    backbone: Any, preprocessor: nn.Module | None
) -> None:
    """Log one line if images are not prepared as in pre-training.

    Args:
        backbone: ``Pretrained``; others are left alone.
        preprocessor: The data preprocessor of the classifier.
    """
    if not isinstance(backbone, Pretrained):
        return
    found = preprocessing_of(preprocessor)
    wanted = backbone.trained_with
    if found is None:
        wanted = wanted or IMAGENET
    elif wanted is None or found.is_like(wanted):
        return
    MMLogger.get_current_instance().warning(
        f'The backbone was pre-trained with {wanted}, and the images go in '
        f'{f"with {found}" if found else "as they are, 0-255 and BGR"}: set '
        'data_preprocessor in the config, unless the pipeline normalises.'
    )
