"""Where the task files of a server are: a folder, or an address of fsspec.

A task file there is named ``NAME.safetensors``, or as training leaves it
``NAME.task.safetensors``.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import fsspec
from fsspec.implementations.local import LocalFileSystem

from ..weights import write_whole
from ..weights.checkpoint_file import SUFFIX

SUFFIXES = (f'.task{SUFFIX}', SUFFIX)
NAME = re.compile(r'\w[\w.-]{0,99}')
MAX_BYTES = 200  # of a name; of a file's, mostly 255
# What tells two versions of a file apart, by the words of file systems.
VERSION_KEYS = (
    *('mtime', 'LastModified', 'last_modified', 'updated', 'created'),
    *('size', 'ETag', 'etag'),
)


class StoreError(OSError):
    """The store of tasks cannot be read or written at the moment."""


class StoredTask(NamedTuple):
    """A version of a task file.

    Args:
        path: Its path in the file system of the store.
        version: Another one after each change; later ones are greater.
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
        ValueError: If fsspec does not know the protocol, or lacks a package
            for it.
    """

    def __init__(self, address: str | Path) -> None:
        self.address = str(address)
        try:
            self.fs, self.root = fsspec.core.url_to_fs(self.address)
        except (ImportError, ValueError) as error:
            raise ValueError(
                f'cannot open --tasks {address}: {error}; give a folder, or '
                'an address of fsspec.'
            ) from error
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
            found = self._versions()
        tasks = {}
        for path, version in sorted(found.items()):
            name = name_of(path)
            if name is not None:
                tasks[name] = StoredTask(path, version)
        return tasks

    def _versions(self) -> dict[str, tuple]:
        # Not by fs.find(): what it cannot list would look empty.
        if self.is_local:
            return _versions_in(self.root)
        self.fs.invalidate_cache()
        try:
            found = self.fs.ls(self.root, detail=True)
        except FileNotFoundError:  # an object store has no folders
            return {}
        return {
            info['name']: tuple(str(info.get(key)) for key in VERSION_KEYS)
            for info in found
            if info['type'] == 'file'
        }

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
            # Another process may have been faster.
            with self._explained(), suppress(FileNotFoundError):
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
    if len(name.encode()) > MAX_BYTES:
        raise ValueError(
            f'the name {name!r} must be of at most {MAX_BYTES} bytes in UTF-8.'
        )


def _versions_in(folder: str) -> dict[str, tuple]:
    """Return versions of the files of a folder, and of those linked there."""
    versions = {}
    for entry in os.scandir(folder):
        with suppress(FileNotFoundError):  # it has just gone
            found = entry.stat()
            if stat.S_ISREG(found.st_mode):
                version = found.st_mtime_ns, found.st_size, found.st_ino
                versions[f'{folder}/{entry.name}'] = version
    return versions
