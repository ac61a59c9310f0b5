"""Reads an uploaded image, or says why not.

The texts of errors are for who uploaded it.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..image_content import can_read_heif, read_file

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


def read_upload(path: str | Path, limits: Limits) -> np.ndarray:
    """Read an uploaded image, if its size and its header allow it.

    Returns:
        ``(height, width, 3)`` in uint8 and BGR.

    Raises:
        ValueError: If it is above a limit, or unreadable; the text is for
            who uploaded it.
    """
    num_bytes = Path(path).stat().st_size
    if num_bytes > limits.max_bytes:
        raise ValueError(
            f'This file has {num_bytes / MB:.2f} MB, and '
            f'{limits.max_bytes / MB:g} MB are allowed. Give a smaller image.'
        )
    formats = (*FORMATS, 'HEIF') if can_read_heif() else FORMATS
    unreadable = (
        'This file is not a readable image. Give a whole file in one of the '
        f'formats {", ".join(formats)}.'
    )
    try:
        image = Image.open(path, formats=formats)  # reads the header
    except Image.DecompressionBombError as error:
        raise ValueError(
            f'This image has far more than the {limits.max_pixels:,} pixels '
            'that are allowed. Give a smaller image.'
        ) from error
    except Exception as error:  # damaged bytes raise nearly anything
        raise ValueError(unreadable) from error
    with image:
        _require_size(*image.size, limits)
        try:
            image.load()  # OpenCV fills up what is cut short
            return read_file(path)
        except Exception as error:
            raise ValueError(unreadable) from error


def _require_size(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.max_pixels:
        raise ValueError(
            f'This image has {width} x {height} = {width * height:,} pixels, '
            f'and {limits.max_pixels:,} are allowed. Give a smaller image.'
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ValueError(
            f'This image of {width} x {height} pixels is too thin: one side '
            f'may be {MAX_ASPECT} times the other. Cut it.'
        )
