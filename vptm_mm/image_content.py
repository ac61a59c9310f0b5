"""Decodes the content of an image file, or says what is wrong with it.

Decoders are lenient: OpenCV up to 4.10 fills up a JPEG file that is cut short,
and Pillow clips 16 bits to 8. A model would be trained on what is not the
image any more, and nobody is told. Here it is an error.
"""

import functools
import io
import warnings

import cv2
import numpy as np
from mmcv.image import imfrombytes
from PIL import Image

MAX_PIXELS = 89_478_485  # above, Pillow suspects an attack
MAX_ASPECT = 100  # resizing a thinner image may need any amount of memory
FILE_TYPE_BOX = b'ftyp'  # of HEIC, among others


@functools.cache
def can_read_heif() -> bool:
    """Whether Pillow can read HEIC images, which pillow-heif teaches it."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


class UnreadableImageError(ValueError):
    """An image that cannot be decoded, or must not be.

    Args:
        text: What is wrong, and what to do.
        kind: The same in two or three words.
    """

    def __init__(self, text: str, kind: str) -> None:
        super().__init__(text)
        self.kind = kind


def open_header(
    content: bytes,
    max_pixels: int = MAX_PIXELS,
    max_aspect: int = MAX_ASPECT,
    formats: tuple[str, ...] | None = None,
) -> Image.Image:
    """Read what a file says about itself: format, size, kind of pixels.

    Args:
        content: The file.
        max_pixels: Width times height, at most.
        max_aspect: How many times one side may be the other.
        formats: Names that Pillow has for what is allowed; None for all.
    """
    if not content:
        raise UnreadableImageError(
            'the file is empty (0 bytes); download it again.', 'empty'
        )
    may_be_heif = content[4:8] == FILE_TYPE_BOX
    if may_be_heif:
        can_read_heif()
    too_large = UnreadableImageError(
        f'the image has more than {max_pixels:,} pixels; scale it down.',
        'too large',
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=formats)
    except Image.DecompressionBombError as error:
        raise too_large from error
    except Exception as error:  # damaged bytes raise nearly anything
        if may_be_heif and not can_read_heif():
            raise UnreadableImageError(
                'the file looks like a HEIC image; "pip install pillow-heif" '
                'to read it, or convert it to JPEG.',
                'HEIC',
            ) from error
        raise UnreadableImageError(
            f'the file ({len(content)} bytes, beginning with '
            f'{content[:8]!r}) is not an image, or not enough of one; '
            'remove it, or download it again.',
            'not an image',
        ) from error
    width, height = image.size
    if width * height > max_pixels:
        raise too_large
    if max(width, height) > max_aspect * min(width, height):
        raise UnreadableImageError(
            f'the image of {width} x {height} px is too thin: one side may be '
            f'{max_aspect} times the other. Cut it.',
            'too thin',
        )
    return image


def decode(
    content: bytes, flag: str = 'color', backend: str = 'cv2'
) -> np.ndarray:
    """Decode an image as the host does, if all of it is there.

    Args:
        content: The file.
        flag: As in ``mmcv.imfrombytes``.
        backend: As in ``mmcv.imfrombytes``.

    Returns:
        ``(height, width, 3)`` in uint8 and BGR; with another ``flag``, what
        that gives.

    Raises:
        UnreadableImageError: If it is empty, not an image, too large, too
            thin, cut short or damaged, or if the decoder cannot take it.
    """
    header = open_header(content)
    if header.format == 'HEIF':  # OpenCV cannot
        backend = 'pillow'
    if backend == 'pillow' and header.mode[0] in 'IF':
        raise UnreadableImageError(
            f'Pillow would clip the pixels (mode {header.mode}) to 8 bits; '
            "set imdecode_backend='cv2', or convert the image to 8 bits.",
            'not 8 bits',
        )
    if header.format in ('JPEG', 'MPO') and content[-2:] != b'\xff\xd9':
        try:
            header.load()  # OpenCV may not notice
        except OSError as error:
            raise UnreadableImageError(
                f'the JPEG file of {len(content)} bytes is cut short: its end '
                'is missing. Download it again.',
                'cut short',
            ) from error
    reason = ''
    try:
        pixels = imfrombytes(content, flag, backend=backend)
    except (cv2.error, OSError, SyntaxError, ValueError) as error:
        pixels, reason = None, f' ({error})'
    if pixels is None:
        width, height = header.size
        raise UnreadableImageError(
            f'{backend} cannot decode this {header.format} file of {width} x '
            f'{height} px, mode {header.mode}{reason}: it is damaged or cut '
            'short, or of a kind that the decoder does not know. Download it '
            'again, or convert it to JPEG or PNG.',
            'not decodable',
        )
    return pixels
