"""Reads an uploaded image, or says why not.

The texts of errors are for who uploaded it.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from .image_content import can_read_heif, decode

FORMATS = ('BMP', 'JPEG', 'PNG', 'PPM', 'TIFF', 'WEBP')
MB = 10**6  # bytes
MAX_ASPECT = 20  # less than of files: anybody may upload


@dataclass(frozen=True)
class Limits:
    """What an upload may have at most.

    Args:
        max_bytes: Of the file.
        max_pixels: Width times height.
    """

    max_bytes: int
    max_pixels: int


class TooLargeError(ValueError):
    """An upload is above a limit."""


def read_upload(content: bytes, limits: Limits) -> np.ndarray:
    """Read an uploaded image, if its size and its header allow it.

    Args:
        content: The file.
        limits: What it may have at most.

    Returns:
        ``(height, width, 3)`` in uint8 and BGR.

    Raises:
        TooLargeError: If it is above a limit.
        ValueError: If it is unreadable.
    """
    if len(content) > limits.max_bytes:
        raise TooLargeError(
            f'This file has {len(content) / MB:.2f} MB, and '
            f'{limits.max_bytes / MB:g} MB are allowed. Give a smaller image.'
        )
    formats = (*FORMATS, 'HEIF') if can_read_heif() else FORMATS
    unreadable = (
        'This file is not a readable image. Give a whole file in one of the '
        f'formats {", ".join(formats)}.'
    )
    try:
        # Reads the header.
        image = Image.open(io.BytesIO(content), formats=formats)
    except Image.DecompressionBombError as error:
        raise TooLargeError(
            f'This image has far more than the {limits.max_pixels:,} pixels '
            'that are allowed. Give a smaller image.'
        ) from error
    except Exception as error:  # damaged bytes raise nearly anything
        raise ValueError(unreadable) from error
    with image:
        _require_size(*image.size, limits)
        try:
            image.load()  # OpenCV fills up what is cut short
            return decode(content)
        except Exception as error:
            raise ValueError(unreadable) from error


def _require_size(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.max_pixels:
        raise TooLargeError(
            f'This image has {width} x {height} = {width * height:,} pixels, '
            f'and {limits.max_pixels:,} are allowed. Give a smaller image.'
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ValueError(
            f'This image of {width} x {height} pixels is too thin: one side '
            f'may be {MAX_ASPECT} times the other. Cut it.'
        )
