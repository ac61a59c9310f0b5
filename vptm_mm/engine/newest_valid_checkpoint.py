"""Finds the checkpoint that a killed run is resumed from.

What the run noted in ``last_checkpoint`` is not asked: that file may be
damaged. Neither is the time of change: a copy has another one.
"""

import zipfile
from collections.abc import Iterable
from pathlib import Path

from mmengine.logging import MMLogger

from ..weights import load_file


def find_newest_valid(paths: Iterable[Path]) -> Path | None:
    """Return the newest valid checkpoint: that of the last iteration.

    Each part of a checkpoint has a checksum, which ``torch.load`` does not
    look at. No code in them is run. Damaged files are logged with path, size
    and reason, and left where they are.

    Args:
        paths: Checkpoints of a run.

    Returns:
        A path, or None if there are no checkpoints.

    Raises:
        ValueError: If there are checkpoints and none of them is valid.
    """
    valid: list[tuple[int, Path]] = []
    damaged: list[str] = []
    for path in paths:
        try:
            content = load_file(path, mmap=True)
            with zipfile.ZipFile(path) as file:
                broken = file.testzip()
            if broken is not None:
                raise ValueError(f'wrong checksum of {broken}')
            valid.append((int(content['meta']['iter']), path))
        except Exception as error:  # damaged bytes raise nearly anything
            size = f' ({path.stat().st_size} bytes)' if path.exists() else ''
            line = f'damaged checkpoint {path}{size}: {error!r}'
            MMLogger.get_current_instance().warning(line)
            damaged.append(line)
    if damaged and not valid:
        raise ValueError(
            'no checkpoint can be resumed from:\n  '
            + '\n  '.join(damaged)
            + '\nGive another one by --resume PATH, or begin again in another '
            '--work-dir.'
        )
    return max(valid)[1] if valid else None
