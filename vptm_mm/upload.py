"""Reads an uploaded image, or says why not.

The texts of errors are for who uploaded it.
"""

from dataclasses import dataclass

import numpy as np

from .image_content import can_read_heif, decode, open_header

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
        image = open_header(content, limits.max_pixels, MAX_ASPECT, formats)
        image.load()  # OpenCV fills up what is cut short
        return decode(content)
    except Exception as error:  # damaged bytes raise nearly anything
        kind = getattr(error, 'kind', '')
        if kind == 'too large':
            raise TooLargeError(f'Give a smaller image: {error}') from error
        text = f'Give another image: {error}' if kind == 'too thin' else ''
        raise ValueError(text or unreadable) from error
