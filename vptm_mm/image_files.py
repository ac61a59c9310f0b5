"""Finds image files: the one walk through folders that everything uses."""

import os
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
    _, inner, _ = next(os.walk(folder, onerror=_raise))
    return [folder / name for name in _shown(inner)]


def show_names(paths: Iterable[Path]) -> str:
    """Return the names of the first files or folders of a list."""
    names = [path.name for path in paths]
    return ', '.join(names[:SHOWN] + ['...'] * (len(names) > SHOWN))


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield the files of ``find_files``, and hold one folder's names at most.

    A folder's own come first, then those of the folders in it, by name.
    """
    homes, seen = [str(folder)], set[str]()
    for first in homes:
        for home, inner, names in os.walk(first, onerror=_raise):
            real = osp.realpath(home)
            inner[:] = [] if real in seen else _shown(inner)
            if real not in seen:
                yield from (Path(home, name) for name in _shown(names))
            seen.add(real)
            # Links last: they give no image another name.
            inside = [osp.join(home, name) for name in inner]
            homes += filter(osp.islink, inside)


def _shown(names: list[str]) -> list[str]:
    return sorted(n for n in names if n[0] != '.' and n != '__MACOSX')


def _raise(error: OSError) -> None:
    raise error
