"""Reads the text files that list a data set's images."""

import os
from collections import Counter
from collections.abc import Iterable
from os import path as osp
from pathlib import Path

SHOWN = 5


def read_pairs(path: str) -> list[tuple[str, str]]:
    """Read lines of two parts; the first space separates them.

    Args:
        path: A text file; empty lines are skipped.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If a line has one part only, or the file none.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'no {osp.abspath(path)}')
    # Names of files may be any bytes, and hold what splitlines() splits at.
    text = Path(path).read_text('utf-8-sig', errors='surrogateescape')
    pairs = []
    for number, line in enumerate(text.split('\n'), start=1):
        if not line.strip():
            continue
        first, _, rest = line.strip().partition(' ')
        if not rest:
            raise ValueError(
                f'{path}, line {number}: {line!r} must have two parts with a '
                'space between them; download it again.'
            )
        pairs.append((first, rest.strip()))
    if not pairs:
        raise ValueError(f'{path} is empty; download it again.')
    return pairs


def read_table(path: str) -> dict[str, str]:
    """Read lines of key and value.

    Args:
        path: A text file; empty lines are skipped.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it is no such table, or a key repeats.
    """
    pairs = read_pairs(path)
    table = dict(pairs)
    if len(table) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(
            f'{path}: {twice!r} is there more than once; download it again.'
        )
    return table


def require_images(data_list: list[dict], index: str) -> None:
    """Look for the images that an index names; each folder is read once.

    Args:
        data_list: Dicts with ``img_path``.
        index: The file that names the images.

    Raises:
        FileNotFoundError: If some are not there; the text counts them and
            shows the first five.
    """
    paths = [info['img_path'] for info in data_list]
    present = {
        folder: _file_names(folder)
        for folder in {osp.dirname(path) for path in paths}
    }
    missing = [
        path
        for path in paths
        if osp.basename(path) not in present[osp.dirname(path)]
    ]
    if missing:
        raise FileNotFoundError(
            f'{len(missing)} of {len(paths)} images that {index} names are '
            'missing; unpack the images again. The first:\n  '
            + '\n  '.join(missing[:SHOWN])
        )


def refuse_repeats(paths: Iterable[str], index: str) -> None:
    """Require that an index names each image once.

    Raises:
        ValueError: If it does not.
    """
    counts = Counter(paths)
    twice = [path for path, count in counts.items() if count > 1]
    if twice:
        raise ValueError(
            f'{index} names {len(twice)} images more than once, such as '
            f'{", ".join(twice[:SHOWN])}; download it again.'
        )


def is_file(entry: os.DirEntry) -> bool:
    """Whether it is a file, or a link to one."""
    # Of a link to itself, entry.is_file() is an error.
    return osp.isfile(entry) if entry.is_symlink() else entry.is_file()


def is_folder(entry: os.DirEntry) -> bool:
    """Whether it is a folder, or a link to one."""
    return osp.isdir(entry) if entry.is_symlink() else entry.is_dir()


def _file_names(folder: str) -> set[str]:
    if not osp.isdir(folder):
        return set()
    return {entry.name for entry in os.scandir(folder) if is_file(entry)}
