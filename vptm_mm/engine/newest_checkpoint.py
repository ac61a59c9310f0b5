"""Finds the checkpoint that a killed run is resumed from."""

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import MMLogger


def find_newest_whole(paths: Iterable[Path]) -> Path | None:
    """Return the newest checkpoint that can be read from end to end.

    Newest is what was written last, by the time that stands in the file; in
    the same second, what was trained for longer. Damaged files are logged
    with path, size and reason, and left where they are.

    Args:
        paths: Checkpoints of runs.

    Returns:
        A path, or None if there are no checkpoints.

    Raises:
        ValueError: If there are checkpoints and none of them is whole.
    """
    ages, damaged = {}, []
    for path in sorted(paths):
        try:
            ages[path] = _age(path)
        except ValueError as error:
            damaged.append(str(error))
    newest = None
    for path in sorted(ages, key=lambda path: ages[path], reverse=True):
        try:
            _require_intact(path)
        except ValueError as error:
            damaged.append(str(error))
            continue
        newest = path
        break
    for text in damaged:
        MMLogger.get_current_instance().warning(text)
    if damaged and newest is None:
        raise ValueError(
            'no checkpoint can be resumed from:\n  '
            + '\n  '.join(damaged)
            + '\nGive another one by --resume PATH, or begin anew in another '
            '--work-dir.'
        )
    return newest


def _age(path: Path) -> tuple[str, int]:
    """Return when a checkpoint was written, and after how many steps."""
    try:
        # Mapped, so that the tensors need not be read for it.
        content: Any = torch.load(
            path, map_location='cpu', weights_only=True, mmap=True
        )
        meta = content['meta']
        return str(meta['time']), int(meta['iter'])
    except Exception as error:  # damaged bytes raise nearly anything
        raise ValueError(_report(path, f'{error!s:.200}')) from error


def _require_intact(path: Path) -> None:
    """Compare each part of a checkpoint with its checksum."""
    try:
        with zipfile.ZipFile(path) as file:
            broken = file.testzip()
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise ValueError(_report(path, str(error))) from error
    if broken is not None:
        raise ValueError(_report(path, f'wrong checksum of {broken}'))


def _report(path: Path, reason: str) -> str:
    return f'damaged checkpoint {path} ({path.stat().st_size} bytes): {reason}'
