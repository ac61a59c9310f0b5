"""Atomic writes: a file is there whole, or as it was before."""

import os
import time
import uuid
from collections.abc import Iterator, Set
from contextlib import contextmanager, suppress
from errno import EDQUOT, EFBIG, EIO, ENOENT, ENOSPC, EROFS, ESTALE
from pathlib import Path
from typing import BinaryIO

PARTS = f'*.{"[0-9a-f]" * 8}.part'  # names while files are written
OLD = 3600  # seconds

# What a disk does to a file; other errors are faults of the program.
OF_DISK = frozenset({EDQUOT, EFBIG, EIO, ENOSPC, EROFS, ESTALE})


class WriteError(RuntimeError):
    """A file could not be written; what was there before is untouched."""


def write_whole(path: str | Path, content: bytes | str) -> None:
    """Write a file so that it is there whole, or as it was before.

    Args:
        path: The file; its folder must exist.
        content: All of it; text becomes UTF-8.

    Raises:
        WriteError: If the disk is full, read-only or failing, or the folder
            has vanished.
    """
    if isinstance(content, str):
        content = content.encode()
    with open_whole(path) as file:
        file.write(content)


@contextmanager
def open_whole(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file to be written piece by piece, as ``write_whole`` does.

    Args:
        path: The file; its folder must exist.

    Raises:
        WriteError: As in ``write_whole``.
    """
    with whole_path(path) as part, part.open('wb') as file:
        yield file


@contextmanager
def whole_path(path: str | Path) -> Iterator[Path]:
    """Give a path to write to; what is there in the end takes the name.

    Each writer has a path of its own, beside the file: the last of several
    wins, with a file that is whole. A process that is killed leaves its
    ``<name>.<8 digits>.part``; the first writer in that folder an hour later
    removes it. What is not a regular file, as ``/dev/stdout``, is written
    directly.

    Args:
        path: The file; its folder must exist.

    Raises:
        WriteError: As in ``write_whole``.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        yield path
        return
    part = path.with_name(f'{path.name}.{uuid.uuid4().hex[:8]}.part')
    with explained(path, {*OF_DISK, ENOENT}):
        try:
            yield part
            with part.open('rb+') as file:
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        remove_parts(path.parent, OLD)


def remove_parts(folder: Path, age: float = 0) -> None:
    """Remove what killed writers left in a folder.

    Args:
        folder: The folder.
        age: Seconds since the last write; less may be of one that is alive.
    """
    for part in folder.glob(PARTS):
        with suppress(OSError):  # another process may have removed it
            if time.time() - part.stat().st_mtime >= age:
                part.unlink()


@contextmanager
def explained(path: str | Path, numbers: Set[int] = OF_DISK) -> Iterator[None]:
    """Turn the system's errors of a write into one that says what to do.

    Args:
        path: The file, or the folder in which files are written.
        numbers: Of the errors; others pass as they are.

    Raises:
        WriteError: If the block raises ``OSError`` with such a number.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in numbers:
            raise
        raise WriteError(
            f'cannot write {error.filename or path}: {error.strerror}. What '
            'was written before is whole: make room, or repair the folder, '
            'and run the same command again, training with --resume.'
        ) from error
