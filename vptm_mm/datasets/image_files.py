"""Finds image files: the one walk through folders that everything uses."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from os import path as osp
from pathlib import Path

from ..image_content import can_read_heif
from .index_files import SHOWN, is_file, is_folder

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


@dataclass
class FoundFiles:
    """The files in a folder, by what can be done with them.

    Args:
        images: Those that end as images do, sorted.
        gone: Those of them that are links that lead nowhere.
        heif: HEIC images that nothing installed can read.
        others: Other files.
    """

    images: list[Path] = field(default_factory=list)
    gone: list[Path] = field(default_factory=list)
    heif: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)

    def describe_skipped(self, folder: Path) -> Iterator[str]:
        """Yield a sentence for each kind of file that is skipped."""
        if self.heif:
            yield (
                f'{len(self.heif)} HEIC images in {folder} are skipped, such '
                f'as {show_names(self.heif)}; "pip install pillow-heif" to '
                'read them, or convert them to JPEG.'
            )
        if self.others:
            yield (
                f'{len(self.others)} files in {folder} are skipped, which do '
                f'not end as images do, such as {show_names(self.others)}.'
            )


def find_files(
    folder: Path, enter: Callable[[str, str], None] | None = None
) -> FoundFiles:
    """Walk through a folder and all below it.

    Hidden files and folders and ``__MACOSX`` are skipped. Linked folders are
    followed, and each real folder is read once.

    Args:
        folder: Where to begin.
        enter: Called with the path and the real path of each folder before it
            is read; it may raise.
    """
    found = FoundFiles()
    for entry in _walk(folder, enter):
        ending = osp.splitext(entry.name)[1].lower()
        path = Path(entry.path)
        if ending in EXTENSIONS or (ending in HEIF and can_read_heif()):
            found.images.append(path)
            if not is_file(entry):
                found.gone.append(path)
        else:
            (found.heif if ending in HEIF else found.others).append(path)
    found.images.sort()
    return found


def join_files(parts: Iterable[FoundFiles]) -> FoundFiles:
    """Return the files of several folders as those of one."""
    joined = FoundFiles()
    for part in parts:
        for name, paths in vars(joined).items():
            paths += getattr(part, name)
    return joined


def sub_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder that are not skipped, sorted."""
    return sorted(
        Path(entry)
        for entry in os.scandir(folder)
        if is_folder(entry) and not _is_skipped(entry.name)
    )


def show_names(paths: list[Path]) -> str:
    """Return the names of the first files or folders of a list."""
    more = ', ...' if len(paths) > SHOWN else ''
    return ', '.join(path.name for path in paths[:SHOWN]) + more


def _walk(
    home: Path, enter: Callable[[str, str], None] | None
) -> Iterator[os.DirEntry]:
    folders, links = deque([str(home)]), deque[str]()
    seen: set[str] = set()
    while folders or links:
        # Links last: they give no image another name.
        folder = folders.popleft() if folders else links.popleft()
        real = osp.realpath(folder)
        if real in seen:
            continue
        if enter is not None:
            enter(folder, real)
        seen.add(real)
        for entry in sorted(os.scandir(folder), key=lambda one: one.name):
            if _is_skipped(entry.name):
                continue
            if not is_folder(entry):
                yield entry
            elif entry.is_symlink():
                links.append(entry.path)
            else:
                folders.append(entry.path)


def _is_skipped(name: str) -> bool:
    return name.startswith('.') or name == '__MACOSX'
