"""Writes files whole or not at all, and says what kept it from it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EDQUOT, EFBIG, EIO, ENOENT, ENOSPC, EROFS, ESTALE
from pathlib import Path
from typing import BinaryIO

PART = '.part'  # of the name, while a file is written

REASONS = {
    EDQUOT: 'the quota is used up',
    EFBIG: 'it is larger than the limit for a file',
    EIO: 'the disk fails',
    ENOSPC: 'the disk is full',
    EROFS: 'the file system is read-only',
    ESTALE: 'the file system is gone',
}


class WriteError(RuntimeError):
    """A file could not be written; what was there before is untouched."""


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file so that it is there whole, or as it was before.

    The content goes to a file beside it, to the disk, and only then takes
    the name. A process that is killed leaves ``<name>.part`` at most, which
    the next one overwrites.

    Args:
        path: The file; its folder must exist.
        content: All of it.

    Raises:
        WriteError: If the disk is full, read-only or failing, or the folder
            has vanished.
    """
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
    path = Path(path)
    part = path.with_name(path.name + PART)
    with explained(path, {**REASONS, ENOENT: 'its folder has vanished'}):
        try:
            with part.open('wb') as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            _sync_folder(path.parent)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def explained(
    path: str | Path, reasons: dict[int, str] = REASONS
) -> Iterator[None]:
    """Turn the system's errors of a write into one that says what to do.

    Args:
        path: The file, or the folder in which files are written.
        reasons: What each error number means; others pass as they are.

    Raises:
        WriteError: If the block raises ``OSError`` with such a number.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in reasons:
            raise
        raise WriteError(
            f'cannot write {error.filename or path}: '
            f'{reasons[error.errno]} ({error.strerror}). The checkpoints '
            'written before are whole: make room, or repair the folder, and '
            'run the same command with --resume.'
        ) from error


def _sync_folder(folder: Path) -> None:
    """Bring the new name to the disk, where folders can be opened."""
    if not hasattr(os, 'O_DIRECTORY'):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
