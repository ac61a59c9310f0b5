"""Finds the images of class folders, and refuses what is not clear."""

import os
from collections import deque
from collections.abc import Iterator
from os import path as osp
from pathlib import Path

from mmengine.logging import MMLogger

from .index_files import SHOWN, is_file, is_folder

EXTENSIONS = {
    '.bmp',
    '.jpeg',
    '.jpg',
    '.pgm',
    '.png',
    '.ppm',
    '.tif',
    '.tiff',
    '.webp',
}
# Names of the classes, and the images of each.
ClassImages = tuple[list[str], dict[str, list[Path]]]


def find_images(
    folder: Path, root: Path, known: list[str] | None = None
) -> ClassImages:
    """Look for class folders and their images.

    Args:
        folder: Where the class folders are.
        root: The folder of all images.
        known: The classes that may be there; all of any name if not given.

    Raises:
        ValueError: If it is not clear which image is of which class.
        FileNotFoundError: If images are links that lead nowhere.
    """
    folders = _class_folders(folder, known)
    owners: dict[str, str] = {}
    images, others, gone = {}, [], []
    for path in folders:
        files = [*_walk(path, root, owners)]
        mine = [file for file in files if _ends_as_image(file)]
        images[path.name] = sorted(map(Path, mine))
        others += [file.path for file in files if not _ends_as_image(file)]
        gone += [file.path for file in mine if not is_file(file)]
    if others:
        MMLogger.get_current_instance().info(
            f'{len(others)} files in {folder} are skipped, which do not end '
            f'as images do, such as {", ".join(others[:SHOWN])}'
        )
    if gone:
        raise FileNotFoundError(
            f'{len(gone)} images in {folder} are links that lead nowhere. '
            'The first:\n  ' + '\n  '.join(gone[:SHOWN])
        )
    ends = f'images end with {", ".join(sorted(EXTENSIONS))}.'
    if not any(images.values()):
        raise ValueError(f'{folder} holds no image; {ends}')
    empty = [path for path in folders if not images[path.name]]
    if empty:
        raise ValueError(
            f'{len(empty)} class folders in {folder} hold no image, such as '
            f'{shown(empty)}; {ends}'
        )
    return [path.name for path in folders], images


def _class_folders(folder: Path, known: list[str] | None) -> list[Path]:
    """Return the class folders, and refuse what leaves a class unclear."""
    folders = sub_folders(folder)
    loose = sorted(
        Path(entry)
        for entry in os.scandir(folder)
        if not entry.name.startswith('.')
        and _ends_as_image(entry)
        and is_file(entry)
    )
    if loose:
        raise ValueError(
            f'{len(loose)} images lie in {folder} itself, outside of any '
            f'class folder, such as {shown(loose)}; move them.'
        )
    unknown = [
        path
        for path in folders
        if known is not None and path.name not in known
    ]
    if unknown:
        raise ValueError(
            f'{folder} holds {shown(unknown)}, which the training images do '
            'not have as a class.'
        )
    if known is None and len(folders) < 2:
        raise ValueError(
            f'{folder} holds {len(folders)} class folders; it takes two.'
        )
    return folders


def sub_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder that are not hidden."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_dir() and not path.name.startswith('.')
    )


def _walk(
    home: Path, root: Path, owners: dict[str, str]
) -> Iterator[os.DirEntry]:
    """Yield what is no folder and not hidden, in linked folders as well.

    Args:
        home: The class folder.
        root: The folder of all images.
        owners: The class that each real folder was read for; it grows.
    """
    real_root, real_home = osp.realpath(root), osp.realpath(home)
    folders, links = deque([str(home)]), deque[str]()
    while folders or links:
        # Links last: they give no image of the class another name.
        folder = folders.popleft() if folders else links.popleft()
        real = osp.realpath(folder)
        owner = owners.get(real)
        if owner == home.name:
            continue
        is_own = _lies_in(real, real_home) or not _lies_in(real, real_root)
        if owner or not is_own:
            raise ValueError(
                f'{folder} leads to {real}, whose images are of another class '
                'or part; a link may lead out of the folder of all images, or '
                'stay within its class. Remove the link.'
            )
        owners[real] = home.name
        for entry in sorted(os.scandir(folder), key=lambda one: one.name):
            if entry.name.startswith('.'):
                continue
            if not is_folder(entry):
                yield entry
            elif entry.is_symlink():
                links.append(entry.path)
            else:
                folders.append(entry.path)


def _lies_in(path: str, folder: str) -> bool:
    return osp.commonpath([path, folder]) == folder


def _ends_as_image(file: os.DirEntry) -> bool:
    return Path(file.name).suffix.lower() in EXTENSIONS


def shown(paths: list[Path]) -> str:
    """Return the names of the first files or folders of a list."""
    more = ', ...' if len(paths) > SHOWN else ''
    return ', '.join(path.name for path in paths[:SHOWN]) + more
