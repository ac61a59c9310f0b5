"""Finds image files: the one walk through folders that everything uses."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from os import path as osp
from pathlib import Path

from .image_content import can_read_heif

SHOWN = 5  # names in a message

EXTENSIONS = {
    '.bmp',
    '.jfif',
    '.jpe',
    '.jpeg',
    '.jpg',
    '.pgm',
    '.png',
    '.ppm',
    '.tif',
    '.tiff',
    '.webp',
}
# What phones write; read where Pillow can.
HEIF = {'.heic', '.heif', '.hif'}


def is_image(path: Path) -> bool:
    """Whether a file ends as images do that can be read here."""
    suffix = path.suffix.lower()
    return suffix in EXTENSIONS or (suffix in HEIF and can_read_heif())


def find_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the images in a folder and all below it, and the other files.

    Hidden files and folders and ``__MACOSX`` are left out. Linked folders are
    followed, and each real folder is read once.
    """
    files = sorted(walk_files(folder))
    images = [path for path in files if is_image(path)]
    return images, [path for path in files if not is_image(path)]


def describe_skipped(folder: Path, others: list[Path]) -> str:
    """Say which files in a folder are not read; nothing if there are none."""
    if not others:
        return ''
    heif = any(path.suffix.lower() in HEIF for path in others)
    many = len(others) > 1
    return (
        f'{len(others)} {"files" if many else "file"} in {folder} '
        f'{"are" if many else "is"} skipped, without the suffix of an image, '
        f'such as {show_names(others)}.'
    ) + ' "pip install pillow-heif" to read HEIC images.' * heif


def sub_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder that are not left out, sorted."""
    return sorted(
        Path(entry)
        for entry in os.scandir(folder)
        if _is_folder(entry) and not _is_left_out(entry.name)
    )


def show_names(paths: Iterable[Path]) -> str:
    """Return the names of the first files or folders of a list."""
    names = [path.name for path in paths]
    return ', '.join(names[:SHOWN] + ['...'] * (len(names) > SHOWN))


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield the files of ``find_files``, and hold one folder's names at most.

    A folder's own come first, then those of the folders in it, by name.
    """
    folders, links = deque([str(folder)]), deque[str]()
    seen: set[str] = set()
    while folders or links:
        # Links last: they give no image another name.
        home = folders.popleft() if folders else links.popleft()
        real = osp.realpath(home)
        if real in seen:
            continue
        seen.add(real)
        names: list[str] = []
        inner: list[os.DirEntry] = []
        for entry in os.scandir(home):
            if _is_left_out(entry.name):
                continue
            if _is_folder(entry):
                inner.append(entry)
            else:
                names.append(entry.name)
        for name in sorted(names):
            yield Path(home, name)
        for entry in sorted(inner, key=lambda one: one.name):
            (links if entry.is_symlink() else folders).append(entry.path)


def _is_folder(entry: os.DirEntry) -> bool:
    # Of a link to itself, entry.is_dir() is an error.
    return osp.isdir(entry) if entry.is_symlink() else entry.is_dir()


def _is_left_out(name: str) -> bool:
    return name.startswith('.') or name == '__MACOSX'
