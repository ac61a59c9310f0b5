"""Image files of every kind that a folder of a user's may hold.

What docs/data.md says of images is tried on them.
"""

import io
import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image

WIDTH, HEIGHT = 40, 30
PIXELS = cv2.resize(
    np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8),
    (WIDTH, HEIGHT),
)
IMAGE = Image.fromarray(PIXELS)
LARGER = IMAGE.resize((400, 300))


def encode(form: str, image: Image.Image = IMAGE, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def frames(form: str) -> bytes:
    others = [IMAGE.rotate(90), IMAGE.rotate(180)]
    return encode(form, save_all=True, append_images=others)


def oriented() -> bytes:
    exif = Image.Exif()
    exif[0x112] = 6  # to be turned by 90 degrees
    return encode('JPEG', exif=exif)


def with_preview() -> bytes:
    """A JPEG file whose first segment holds a whole smaller one."""
    preview = encode('JPEG', IMAGE.resize((8, 6)))
    length = struct.pack('>H', len(preview) + 2)
    whole = encode('JPEG')
    return whole[:2] + b'\xff\xe1' + length + preview + whole[2:]


def chunk(kind: bytes, data: bytes) -> bytes:
    end = struct.pack('>I', zlib.crc32(kind + data))
    return struct.pack('>I', len(data)) + kind + data + end


def bomb(side: int) -> bytes:
    """A PNG file of some bytes whose header promises side * side pixels."""
    header = struct.pack('>IIBBBBB', side, side, 8, 2, 0, 0, 0)
    return (
        b'\x89PNG\r\n\x1a\n'
        + chunk(b'IHDR', header)
        + chunk(b'IDAT', zlib.compress(bytes(1000)))
        + chunk(b'IEND', b'')
    )


def damaged_inside(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + b'\x11' * 20 + content[middle + 20 :]


def transparent() -> Image.Image:
    image = IMAGE.convert('RGBA')
    image.putalpha(Image.new('L', image.size, 0))
    return image


def float_tiff() -> bytes:
    return encode('TIFF', Image.fromarray(np.ones((9, 9), np.float32)))


def sixteen_bit() -> bytes:
    return cv2.imencode('.png', PIXELS.astype(np.uint16) * 257)[1].tobytes()


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


# Name of the file, and what makes its content.
KINDS: dict[str, tuple[str, Callable[[], bytes]]] = {
    'JPEG': ('a.jpg', lambda: encode('JPEG')),
    'progressive JPEG': ('a.jpg', lambda: encode('JPEG', progressive=True)),
    'JPEG with bytes after its end': (
        'a.jpg',
        lambda: encode('JPEG') + b'more',
    ),
    'JPEG with a preview inside': ('a.jpg', with_preview),
    'PNG': ('a.png', lambda: encode('PNG')),
    'BMP': ('a.bmp', lambda: encode('BMP')),
    'TIFF': ('a.tif', lambda: encode('TIFF')),
    'WEBP': ('a.webp', lambda: encode('WEBP')),
    'name with spaces and other letters': (
        'ein Bild äöü 鳥.jpg',
        lambda: encode('JPEG'),
    ),
    'grey': ('a.png', lambda: encode('PNG', IMAGE.convert('L'))),
    'palette': ('a.png', lambda: encode('PNG', IMAGE.convert('P'))),
    'rotated by EXIF': ('a.jpg', oriented),
    'CMYK': ('a.jpg', lambda: encode('JPEG', IMAGE.convert('CMYK'))),
    '16 bit PNG': ('a.png', sixteen_bit),
    'RGBA, opaque': ('a.png', lambda: encode('PNG', IMAGE.convert('RGBA'))),
    'RGBA, transparent': ('a.png', lambda: encode('PNG', transparent())),
    'animated GIF': ('a.gif', lambda: frames('GIF')),
    'TIFF of several pages': ('a.tif', lambda: frames('TIFF')),
    'PNG named .jpg': ('a.jpg', lambda: encode('PNG')),
    '1 px': ('a.png', lambda: encode('PNG', IMAGE.resize((1, 1)))),
    '20,000 px wide, 1,000 high': (
        'a.png',
        lambda: encode('PNG', Image.new('1', (20_000, 1_000))),
    ),
    'JPEG with damaged bytes inside': (
        'a.jpg',
        lambda: damaged_inside(encode('JPEG', LARGER)),
    ),
    'zero bytes': ('a.jpg', bytes),
    'text named .jpg': ('a.jpg', lambda: b'<html>not found</html>'),
    'JPEG cut short': ('a.jpg', lambda: half(encode('JPEG', LARGER))),
    'JPEG without its last two bytes': (
        'a.jpg',
        lambda: encode('JPEG')[:-2],
    ),
    'JPEG with a preview, cut short': ('a.jpg', lambda: with_preview()[:-9]),
    'JPEG whose second half is zeros': (
        'a.jpg',
        lambda: half(encode('JPEG', LARGER)) + bytes(9999),
    ),
    'PNG cut short': ('a.png', lambda: half(encode('PNG'))),
    'PNG with a wrong byte': (
        'a.png',
        lambda: damaged_inside(encode('PNG')),
    ),
    'BMP cut short': ('a.bmp', lambda: half(encode('BMP'))),
    'TIFF cut short': ('a.tif', lambda: half(encode('TIFF'))),
    'WEBP cut short': ('a.webp', lambda: half(encode('WEBP', LARGER))),
    'TIFF of 32 bit numbers': ('a.tif', float_tiff),
    '20,000 px wide, 10 high': (
        'a.png',
        lambda: encode('PNG', Image.new('1', (20_000, 10))),
    ),
    'header says 10,000 x 10,000': ('a.png', lambda: bomb(10_000)),
    'header says 20,000 x 20,000': ('a.png', lambda: bomb(20_000)),
}
