"""Uploads that are refused, and why."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from vptm_mm.image_content import can_read_heif, decode
from vptm_mm.upload import Limits, read_upload

from .made_images import HEIGHT, IMAGE, KINDS, WIDTH

LIMITS = Limits(max_bytes=20_000, max_pixels=5_000)


def header_of_png(width, height) -> bytes:
    """A PNG without pixels, as small as an upload that fills the memory."""
    header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    parts = [b'\x89PNG\r\n\x1a\n']
    for content in (b'IHDR' + header, b'IDAT'):
        parts.append(struct.pack('>I', len(content) - 4) + content)
        parts.append(struct.pack('>I', zlib.crc32(content)))
    return b''.join(parts)


def whole_png(path, size=(40, 30)):
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3))
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'no image', 'is not a readable image'),
        (b'', 'is not a readable image'),
        (b'0' * 20_001, '0.02 MB, and 0.02 MB are allowed'),
        (header_of_png(100, 51), 'smaller image: .* more than 5,000 pix'),
        # What PIL itself refuses.
        (
            header_of_png(10**6, 10**6),
            'smaller image: .* more than 5,000 pix',
        ),
        (header_of_png(64, 3), '64 x 3 px is too thin'),
        (header_of_png(50, 50), 'is not a readable image'),
    ],
)
def test_uploads_that_are_refused(content, message):
    with pytest.raises(ValueError, match=message):
        read_upload(content, LIMITS)


def test_a_file_cut_short_and_another_format(tmp_path):
    path = whole_png(tmp_path / 'cut.png')
    path.write_bytes(path.read_bytes()[:-500])
    animation = tmp_path / 'animation.gif'
    Image.new('L', (10, 10)).save(animation)
    for refused in (path, animation):
        with pytest.raises(ValueError, match='Give a whole file in one of'):
            read_upload(refused.read_bytes(), LIMITS)


@pytest.mark.parametrize(
    'kind', ['JPEG', 'rotated by EXIF', 'CMYK', '16 bit PNG', 'palette']
)
def test_an_upload_is_read_as_the_pool_reads_it(tmp_path, kind):
    name, make = KINDS[kind]
    path = tmp_path / name
    path.write_bytes(make())
    image = read_upload(path.read_bytes(), LIMITS)
    np.testing.assert_array_equal(image, decode(path.read_bytes()))
    upright = (HEIGHT, WIDTH) if kind != 'rotated by EXIF' else (WIDTH, HEIGHT)
    assert image.shape[:2] == upright


def test_what_phones_write(tmp_path):
    """Read where Pillow can; else the text lists what can be read."""
    path = tmp_path / 'photo.heic'
    if not can_read_heif():
        path.write_bytes(b'\0\0\0\x18ftypheic' + bytes(1000))
        with pytest.raises(ValueError, match='formats BMP, JPEG, .* WEBP.$'):
            read_upload(path.read_bytes(), LIMITS)
        return
    IMAGE.save(path)
    np.testing.assert_array_equal(
        read_upload(path.read_bytes(), LIMITS), decode(path.read_bytes())
    )
