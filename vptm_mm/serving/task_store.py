"""Where the task files of a server are: a folder, or an address of fsspec.

A task file there is named ``NAME.safetensors``, or as training leaves it
``NAME.task.safetensors``.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import fsspec
from fsspec.implementations.local import LocalFileSystem

from ..weights import write_whole
from ..weights.checkpoint_file import SUFFIX

SUFFIXES = (f'.task{SUFFIX}', SUFFIX)
NAME = re.compile(r'\w[\w.-]{0,99}')
# What tells two versions of a file apart, by the words of file systems.
VERSION_KEYS = (
    *('size', 'mtime', 'created', 'ino'),
    *('ETag', 'etag', 'LastModified', 'last_modified', 'updated'),
)


class StoreError(OSError):
    """The store of tasks cannot be read or written at the moment."""


class StoredTask(NamedTuple):
    """A version of a task file.

    Args:
        path: Its path in the file system of the store.
        version: Another one after each change.
    """

    path: str
    version: tuple


class TaskStore:
    """Task files in a folder, or at any address that fsspec knows.

    Args:
        address: As in ``tasks/`` or ``s3://bucket/tasks``; a folder must be
            there.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If fsspec does not know the protocol.
    """

    def __init__(self, address: str | Path) -> None:
        self.address = str(address)
        self.fs, self.root = fsspec.core.url_to_fs(self.address)
        self.is_local = isinstance(self.fs, LocalFileSystem)
        if self.is_local and not Path(self.root).is_dir():
            raise FileNotFoundError(
                f'no folder of tasks at {self.root}; make it, or name another.'
            )

    def tasks(self) -> dict[str, StoredTask]:
        """Return what is there, by the names of the tasks, sorted.

        Raises:
            StoreError: If it cannot be read.
        """
        with self._explained():
            # A folder that has vanished would look like an empty one.
            if self.is_local and not Path(self.root).is_dir():
                raise FileNotFoundError(f'no folder {self.root}')
            self.fs.invalidate_cache()
            found = self.fs.find(self.root, maxdepth=1, detail=True)
        tasks = {}
        for path, info in sorted(found.items()):
            name = name_of(path)
            if name is not None:
                tasks[name] = StoredTask(path, _version(info))
        return tasks

    def read(self, task: StoredTask) -> bytes:
        """Return the content of a file.

        Raises:
            StoreError: If it cannot be read.
        """
        with self._explained():
            return self.fs.cat_file(task.path)

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all; an older one is replaced.

        Raises:
            StoreError: If it cannot be written.
        """
        stored = self.tasks().get(name)
        path = stored.path if stored else f'{self.root}/{name}{SUFFIX}'
        with self._explained():
            if self.is_local:
                write_whole(path, content)
            else:  # what is seen of an object is all of it
                self.fs.pipe_file(path, content)

    def remove(self, name: str) -> None:
        """Remove all files of a name.

        Raises:
            StoreError: If one cannot be removed.
        """
        while stored := self.tasks().get(name):
            with self._explained():
                self.fs.rm_file(stored.path)

    def added(self, task: StoredTask) -> str | None:
        """Return when a file was written, by ISO 8601, if that is known."""
        try:
            return self.fs.modified(task.path).isoformat(timespec='seconds')
        except (NotImplementedError, OSError):
            return None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        # Each file system has errors of its own.
        except Exception as error:
            raise StoreError(
                f'the store of tasks {self.address} fails at the moment '
                f'({type(error).__name__}: {error}).'
            ) from error


def name_of(path: str) -> str | None:
    """Return the name of the task in a file; None for other files."""
    name = PurePosixPath(path).name
    for suffix in SUFFIXES:
        if name.endswith(suffix):
            stem = name.removesuffix(suffix)
            return stem if NAME.fullmatch(stem) else None
    return None


def require_name(name: str) -> None:
    """Check the name of a new task.

    Raises:
        ValueError: If it cannot be that of a file everywhere.
    """
    if not NAME.fullmatch(name) or name_of(name + SUFFIX) != name:
        raise ValueError(
            f'the name {name!r} must be of at most 100 letters, digits, dots, '
            '_ and -, begin with a letter, a digit or _, and not end in .task.'
        )


def _version(info: dict[str, Any]) -> tuple:
    return tuple(str(info.get(key)) for key in VERSION_KEYS)
