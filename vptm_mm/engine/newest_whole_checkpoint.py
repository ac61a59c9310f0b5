"""Finds the checkpoint that a killed run is resumed from.

What the run noted in ``last_checkpoint`` is not asked: that file may be
damaged.
"""

import zipfile
from collections.abc import Iterable
from pathlib import Path

from mmengine.logging import MMLogger


def find_newest_whole(paths: Iterable[Path]) -> Path | None:
    """Return the checkpoint that was written last, of those that are whole.

    Each part of a checkpoint has a checksum, which ``torch.load`` does not
    look at. Nothing is unpickled here. Damaged files that are newer are
    logged with path, size and reason, and left where they are.

    Args:
        paths: Checkpoints of a run.

    Returns:
        A path, or None if there are no checkpoints.

    Raises:
        ValueError: If there are checkpoints and none of them is whole.
    """
    damaged = []
    for path in sorted(
        paths, key=lambda path: path.stat().st_mtime_ns, reverse=True
    ):
        reason = _find_damage(path)
        if reason is None:
            return path
        size = path.stat().st_size
        damaged.append(f'damaged checkpoint {path} ({size} bytes): {reason}')
        MMLogger.get_current_instance().warning(damaged[-1])
    if damaged:
        raise ValueError(
            'no checkpoint can be resumed from:\n  '
            + '\n  '.join(damaged)
            + '\nGive another one by --resume PATH, or begin anew in another '
            '--work-dir.'
        )
    return None


def _find_damage(path: Path) -> str | None:
    """Compare a checkpoint with its checksums; say what is wrong."""
    try:
        with zipfile.ZipFile(path) as file:
            broken = file.testzip()
    # What zipfile raises for damaged bytes depends on where they are.
    except (
        zipfile.BadZipFile,
        EOFError,
        NotImplementedError,
        OSError,
        RuntimeError,
        ValueError,
        zipfile.LargeZipFile,
    ) as error:
        return str(error) or type(error).__name__
    return None if broken is None else f'wrong checksum of {broken}'
