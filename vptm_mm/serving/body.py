"""Reads the body of a request, up to a limit of size and of time."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from typing import TypeVar

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from ..upload import MB
from .errors import RequestError

SECONDS = 30
MAX_IMAGES = 100
# What curl says of a body by default, and what says nothing.
RAW = ('', 'application/octet-stream', 'application/x-www-form-urlencoded')
MULTIPART = 'multipart/form-data'
T = TypeVar('T')


async def read_task(request: Request, max_bytes: int) -> bytes:
    """Return the task file that a request brings.

    Raises:
        RequestError: If it is of another type, too large or too slow.
    """
    _require_type(request, RAW)
    return await _in_time(_read_all(request, max_bytes))


async def read_images(
    request: Request, max_bytes: int
) -> list[tuple[str, bytes]]:
    """Return names and contents of the images that a request brings.

    Raises:
        RequestError: If there is none, or the body is of another type, too
            large or too slow.
    """
    kind = _content_type(request)
    if kind != MULTIPART and not kind.startswith('image/'):
        _require_type(request, (*RAW, 'image/*', MULTIPART))
    if kind == MULTIPART:
        images = await _in_time(_read_files(request, max_bytes))
    else:
        images = [('body', await _in_time(_read_all(request, max_bytes)))]
    if not images or not images[0][1]:
        raise RequestError(
            400, 'the request holds no image; send one as its body.'
        )
    return images


def _content_type(request: Request) -> str:
    kind = request.headers.get('content-type', '')
    return kind.partition(';')[0].strip().lower()


def _require_type(request: Request, allowed: tuple[str, ...]) -> None:
    kind = _content_type(request)
    if kind not in allowed:
        raise RequestError(
            415,
            f'a body of type {kind!r:.80} must be one of '
            f'{", ".join(filter(None, allowed))}.',
        )


async def _in_time(reading: Awaitable[T]) -> T:
    try:
        return await asyncio.wait_for(reading, SECONDS)
    except asyncio.TimeoutError as error:
        raise RequestError(
            408, f'the body took more than {SECONDS} s; send it faster.'
        ) from error


async def _stream(
    request: Request, max_bytes: int
) -> AsyncGenerator[bytes, None]:
    """Yield the body, and stop at what is too large."""
    announced = request.headers.get('content-length', '0')
    size = int(announced) if announced.isdigit() else 0
    if size <= max_bytes:
        size = 0
        async for part in request.stream():
            size += len(part)
            if size > max_bytes:
                break
            yield part
    if size > max_bytes:
        raise RequestError(
            413,
            f'a body of {size:,} bytes or more is too large; '
            f'{max_bytes / MB:g} MB are allowed.',
        )


async def _read_all(request: Request, max_bytes: int) -> bytes:
    return b''.join([part async for part in _stream(request, max_bytes)])


async def _read_files(
    request: Request, max_bytes: int
) -> list[tuple[str, bytes]]:
    parser = MultiPartParser(
        request.headers, _stream(request, max_bytes), max_files=MAX_IMAGES
    )
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise RequestError(
            400, f'the body is not a form of files ({error}).'
        ) from error
    files = []
    for name, value in form.multi_items():
        if not isinstance(value, UploadFile):
            raise RequestError(
                400,
                f'the field {name!r:.80} is not a file; with curl, put @ '
                'before its path.',
            )
        files.append((value.filename or name, await value.read()))
    await form.close()
    return files
