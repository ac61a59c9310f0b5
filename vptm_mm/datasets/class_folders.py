"""Finds the images of class folders, and refuses what is not clear."""

import re
from os import path as osp
from pathlib import Path

from mmengine.logging import MMLogger

from .image_files import (
    EXTENSIONS,
    FoundFiles,
    find_files,
    join_files,
    show_names,
    sub_folders,
)
from .index_files import SHOWN

# Names of the classes, and the images of each.
ClassImages = tuple[list[str], dict[str, list[Path]]]
# Words of a folder's name that say which split it holds.
SPLIT_WORDS = {
    'train': {'train', 'training', 'trainset', 'trn'},
    'val': {'val', 'valid', 'validation', 'dev', 'eval', 'evaluation'},
    'test': {'test', 'testing', 'testset', 'tst'},
}


def split_of(name: str) -> str | None:
    """Return the split that a folder's name says; None if it says none.

    Example:
        >>> split_of('seg_train'), split_of('Testing'), split_of('cats')
        ('train', 'test', None)
    """
    words = set(re.findall('[a-z]+', name.lower()))
    named = [split for split, known in SPLIT_WORDS.items() if words & known]
    return named[0] if len(named) == 1 else None


def find_split_folders(root: Path) -> dict[str, Path]:
    """Return the folders of splits by split; none if classes lie in ``root``.

    Raises:
        ValueError: If it is not clear which folder is which split.
    """
    tops = sub_folders(root)
    named = [top for top in tops if split_of(top.name)]
    full = [top for top in named if sub_folders(top)]
    if not full:
        if tops and named == tops:
            raise ValueError(
                f'{root} holds {show_names(tops)}, which name splits and no '
                'classes; put class folders into each of them.'
            )
        return {}
    others = [top for top in tops if top not in named]
    if others:
        raise ValueError(
            f'{root} holds {show_names(full)}, which name splits and hold '
            f'folders, and {show_names(others)}, which name no split. Leave '
            'only train, val and test there, or give classes the names of '
            'classes.'
        )
    splits: dict[str, Path] = {}
    for top in named:
        split = str(split_of(top.name))
        if split in splits:
            raise ValueError(
                f'{splits[split].name} and {top.name} in {root} both name the '
                f'{split} split; leave one of them there.'
            )
        inner = sub_folders(top)
        # seg_train/seg_train/..., as archives unpack.
        if len(inner) == 1 and split_of(inner[0].name) == split:
            top = inner[0]
        splits[split] = top
    return splits


def count_classes(folder: str) -> int:
    """Return how many classes ``ImageFolder`` finds in a folder.

    Two, the fewest, where there are none: what is wrong there, the data set
    says when it is built.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        return 2
    try:
        splits = find_split_folders(root)
    except ValueError:
        return 2
    first = splits.get('train') or next(iter(splits.values()), root)
    return max(2, len(sub_folders(first)))


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
    found = {path.name: _find_own(path, root, owners) for path in folders}
    _check_files(folder, join_files(found.values()))
    empty = [path for path in folders if not found[path.name].images]
    if empty:
        raise ValueError(
            f'{len(empty)} class folders in {folder} hold no image, such as '
            f'{show_names(empty)}; {_describe_endings()}'
        )
    images = {name: files.images for name, files in found.items()}
    return list(images), images


def list_images(root: Path) -> list[Path]:
    """Return all images in a folder, whatever their class.

    Raises:
        ValueError: If there is none.
        FileNotFoundError: If images are links that lead nowhere.
    """
    found = find_files(root)
    _check_files(root, found)
    return found.images


def require_no_groups(root: Path) -> None:
    """Refuse folders that hold the same sub-folders, which may be classes.

    Raises:
        ValueError: If all folders in ``root`` do.
    """
    tops = sub_folders(root)
    names = [{path.name for path in sub_folders(top)} for top in tops]
    same = sorted(set.intersection(*names)) if len(names) > 1 else []
    if len(same) > 1:
        raise ValueError(
            f'{root} holds {show_names(tops)}, and each of them '
            f'{", ".join(same[:SHOWN])}: which of both are the classes? Name '
            'splits train, val and test, or join folders of one class; if '
            'the outer ones are the classes, name them as classes= in the '
            'data set of each loader.'
        )


def _check_files(folder: Path, found: FoundFiles) -> None:
    """Log what is skipped; require images, and no link that leads nowhere."""
    for line in found.describe_skipped(folder):
        MMLogger.get_current_instance().info(line)
    if found.gone:
        raise FileNotFoundError(
            f'{len(found.gone)} images in {folder} are links that lead '
            'nowhere. The first:\n  '
            + '\n  '.join(map(str, found.gone[:SHOWN]))
        )
    if not found.images:
        raise ValueError(f'{folder} holds no image; {_describe_endings()}')


def _describe_endings() -> str:
    return f'images end with {", ".join(sorted(EXTENSIONS))}.'


def _class_folders(folder: Path, known: list[str] | None) -> list[Path]:
    """Return the class folders, and refuse what leaves a class unclear."""
    folders = sub_folders(folder)
    loose = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in EXTENSIONS
        and path.is_file()
        and not path.name.startswith('.')
    ]
    if loose:
        raise ValueError(
            f'{len(loose)} images lie in {folder} itself, outside of any '
            f'class folder, such as {show_names(sorted(loose))}; move them.'
        )
    strange = [path for path in folders if not _is_utf8(path.name)]
    if strange:
        raise ValueError(
            f'{folder}: the name {strange[0].name!r} is not UTF-8, and could '
            'not be written into a task file; rename the folder.'
        )
    unknown = [
        path
        for path in folders
        if known is not None and path.name not in known
    ]
    if unknown:
        raise ValueError(
            f'{folder} holds {show_names(unknown)}, which is not among the '
            f'{len(known or ())} classes {", ".join(known or ()):.200}.'
        )
    if known is None and len(folders) < 2:
        only = f' ({folders[0].name})' if folders else ''
        raise ValueError(
            f'{folder} holds {len(folders)} class folders{only}; it takes two.'
        )
    return folders


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _find_own(home: Path, root: Path, owners: dict[str, str]) -> FoundFiles:
    """Find the files of a class, and refuse links to those of others.

    Args:
        home: The class folder.
        root: The folder of all images.
        owners: The class that each real folder was read for; it grows.
    """
    real_root, real_home = osp.realpath(root), osp.realpath(home)

    def enter(folder: str, real: str) -> None:
        is_own = _lies_in(real, real_home) or not _lies_in(real, real_root)
        if real in owners or not is_own:
            raise ValueError(
                f'{folder} leads to {real}, whose images are of another class '
                'or part; a link may lead out of the folder of all images, or '
                'stay within its class. Remove the link.'
            )
        owners[real] = home.name

    return find_files(home, enter)


def _lies_in(path: str, folder: str) -> bool:
    return osp.commonpath([path, folder]) == folder
