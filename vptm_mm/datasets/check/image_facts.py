"""What a check of a data set notes about one image."""

import hashlib
from os import path as osp
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ..image_content import UnreadableImageError, decode, open_header

TINY = 16  # pixels; a patch of BEiT v2 base
# Readable, and perhaps not what was meant.
STRANGE = {
    '16 bit': 'the lower 8 of 16 bits are lost',
    'CMYK': 'converted to RGB without a colour profile',
    'misnamed': 'of another format than the end of the name says',
    'several frames': 'only the first one is read',
    'tiny': f'one side is shorter than {TINY} pixels',
    'transparent': 'transparency is dropped, hidden colours appear',
}


class ImageFacts(NamedTuple):
    """What was found in an image.

    Args:
        content: sha256 of the file, or of the pixels of an image without one;
            None if the file cannot be opened.
        pixels: sha256 of the decoded image; None if it is unreadable.
        size: Width and height in pixels; None if it is unreadable.
        problem: Kind of problem of an unreadable image, else None.
        text: What is wrong with it.
        strange: Keys of ``STRANGE``.
    """

    content: bytes | None
    pixels: bytes | None = None
    size: tuple[int, int] | None = None
    problem: str | None = None
    text: str = ''
    strange: tuple[str, ...] = ()


def examine_file(path: str, backend: str = 'cv2') -> ImageFacts:
    """Read an image file as training does, and look at its header.

    Args:
        path: The file.
        backend: As in ``mmcv.imfrombytes``.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        return ImageFacts(None, problem='missing', text=str(error))
    digest = hashlib.sha256(content).digest()
    try:
        pixels = decode(content, backend=backend)
        strange = _find_strange(open_header(content), path)
    except UnreadableImageError as error:
        return ImageFacts(digest, problem=error.kind, text=str(error))
    height, width = pixels.shape[:2]
    return ImageFacts(
        digest, _digest(pixels), (width, height), strange=strange
    )


def examine_array(image: np.ndarray) -> ImageFacts:
    """Look at an image that a data set holds in memory."""
    digest = _digest(image)
    height, width = image.shape[:2]
    return ImageFacts(digest, digest, (width, height))


def _digest(pixels: np.ndarray) -> bytes:
    content = hashlib.sha256(repr((pixels.shape, pixels.dtype)).encode())
    content.update(np.ascontiguousarray(pixels).data)
    return content.digest()


def _find_strange(header: Image.Image, path: str) -> tuple[str, ...]:
    raw_modes = [str(tile[-1]) for tile in getattr(header, 'tile', ())]
    suffix = osp.splitext(path)[1].lower()
    named = Image.registered_extensions().get(suffix, header.format)
    is_jpeg = {named, header.format} <= {'JPEG', 'MPO'}
    found = {
        '16 bit': header.mode[0] == 'I' or any(';16' in m for m in raw_modes),
        'CMYK': header.mode == 'CMYK',
        'misnamed': named != header.format and not is_jpeg,
        # A phone's photo holds a preview, too.
        'several frames': header.format != 'MPO'
        and getattr(header, 'n_frames', 1) > 1,
        'tiny': min(header.size) < TINY,
        'transparent': _is_transparent(header),
    }
    return tuple(kind for kind, is_so in found.items() if is_so)


def _is_transparent(image: Image.Image) -> bool:
    if 'A' not in image.mode and 'transparency' not in image.info:
        return False
    alpha = np.asarray(image.convert('RGBA').getchannel('A'))
    return bool(alpha.min() < 255)
