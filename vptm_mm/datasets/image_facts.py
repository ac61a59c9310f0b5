"""Finds out what a check of a data set says about one image."""

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import PurePath

import mmengine.fileio
import numpy as np
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from ..image_content import UnreadableImageError, decode, open_header

HUGE_SIDE = 10_000  # pixels
ORIENTATION = 0x112  # tags of EXIF and TIFF
BITS_PER_SAMPLE = 258
# Handled by the loader, but worth to be known.
CMYK = 'CMYK, converted without a colour profile'
DEEP = 'more than 8 bits, the lower ones are lost'
FRAMES = 'several frames or pages, the first is read'
HUGE = f'a side of {HUGE_SIDE:,} px or more'
NAMED = 'named as another format'
ROTATED = 'rotated by EXIF, turned upright'
TRANSPARENT = 'with transparency, which is dropped'


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What is to be known about one image.

    Args:
        size: Width and height as loaded, in pixels; None if it is unreadable.
        content_digest: sha256 of the file; None for an image in memory and a
            file that is not there.
        pixel_digest: sha256 of shape and pixels; None if it is unreadable.
        notes: What is handled, and worth to be known.
        problem: Why it is unreadable, in few words; empty if it is not.
        reason: The same as the text of an error.
    """

    size: tuple[int, int] | None = None
    content_digest: bytes | None = None
    pixel_digest: bytes | None = None
    notes: tuple[str, ...] = ()
    problem: str = ''
    reason: str = ''


def examine_file(path: str, loader: LoadImageFromFile) -> ImageFacts:
    """Read a file once, and decode it as a pipeline's loader does.

    Args:
        path: The file, where ``loader.backend_args`` say.
        loader: ``LoadCheckedImage``, or the host's loader, whose images are
            checked as well here.
    """
    try:
        content = mmengine.fileio.get(path, backend_args=loader.backend_args)
    except (FileNotFoundError, NotADirectoryError) as error:
        return ImageFacts(problem='missing', reason=str(error))
    except OSError as error:
        return ImageFacts(problem='cannot be opened', reason=str(error))
    digest = hashlib.sha256(content).digest()
    try:
        pixels = decode(content, loader.color_type, loader.imdecode_backend)
    except UnreadableImageError as error:
        return ImageFacts(
            content_digest=digest, problem=error.kind, reason=str(error)
        )
    return ImageFacts(
        size=(pixels.shape[1], pixels.shape[0]),
        content_digest=digest,
        pixel_digest=_digest_pixels(pixels),
        notes=_take_notes(path, content),
    )


def examine_pixels(pixels: np.ndarray) -> ImageFacts:
    """Look at an image that a data set holds in memory."""
    pixels = np.asarray(pixels)
    if pixels.ndim < 2 or not pixels.size:
        return ImageFacts(
            problem='no image',
            reason=f'an array of shape {pixels.shape} is not an image.',
        )
    return ImageFacts(
        size=(pixels.shape[1], pixels.shape[0]),
        pixel_digest=_digest_pixels(pixels),
    )


def _digest_pixels(pixels: np.ndarray) -> bytes:
    digest = hashlib.sha256(f'{pixels.shape} {pixels.dtype}'.encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


def _take_notes(path: str, content: bytes) -> tuple[str, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        image = open_header(content)
        found = {
            CMYK: image.mode == 'CMYK',
            DEEP: _bits(image, content) > 8,
            FRAMES: image.format != 'MPO' and _has_frames(image),
            HUGE: max(image.size) >= HUGE_SIDE,
            NAMED: _is_named_otherwise(path, image),
            ROTATED: _orientation(image) not in (0, 1),
            TRANSPARENT: image.mode in ('RGBA', 'LA', 'PA')
            or 'transparency' in image.info,
        }
    return tuple(note for note, holds in found.items() if holds)


def _bits(image: Image.Image, content: bytes) -> int:
    if image.format == 'PNG':
        return content[24]
    if image.format == 'TIFF':
        bits = image.tag_v2.get(BITS_PER_SAMPLE, 1)  # type: ignore[attr-defined]
        return max(bits) if isinstance(bits, tuple) else bits
    return 16 if image.mode[0] in 'IF' else 8


def _has_frames(image: Image.Image) -> bool:
    try:
        return getattr(image, 'is_animated', False)
    except Exception:  # a damaged second frame, which nobody reads
        return True


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF, which the decoder skips
        return 1


def _is_named_otherwise(path: str, image: Image.Image) -> bool:
    named = Image.registered_extensions().get(PurePath(path).suffix.lower())
    same = {'JPEG', 'MPO'}, {'TIFF', 'DNG'}
    return (
        named is not None
        and named != image.format
        and not any({named, image.format} <= group for group in same)
    )
