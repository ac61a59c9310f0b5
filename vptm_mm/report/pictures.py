"""Small pictures of test images, as text that a page holds in itself."""

import base64
import io
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

SIDE = 112  # pixels
QUALITY = 80


def picture_uris(dataset: Any, indices: Sequence[int]) -> list[str | None]:
    """Return a data URI for each image, as the model gets it; None if gone.

    Args:
        dataset: A data set of the host, with the pipeline of test images.
        indices: Which images.
    """
    uris: list[str | None] = []
    for index in indices:
        try:
            inputs = dataset[index]['inputs']
        # A file that is gone, cut off, or no image: the host's ways to say so.
        except (OSError, ValueError, TypeError, AttributeError, IndexError):
            uris.append(None)
        else:
            uris.append(to_data_uri(inputs))
    return uris


def to_data_uri(inputs: Tensor) -> str:
    """Turn what a pipeline packs, BGR or grey, into a small JPEG.

    Args:
        inputs: An image before the model's preprocessor, ``(3, height,
            width)`` or with one channel, 0-255.
    """
    image = to_pil_image(inputs.clamp(0, 255).byte().flip(0))
    # Small images keep their hard pixels.
    small = max(image.size) < SIDE
    method = Image.Resampling.NEAREST if small else Image.Resampling.BICUBIC
    buffer = io.BytesIO()
    ImageOps.contain(image, (SIDE, SIDE), method).save(
        buffer, 'JPEG', quality=QUALITY
    )
    text = base64.b64encode(buffer.getvalue()).decode()
    return f'data:image/jpeg;base64,{text}'
