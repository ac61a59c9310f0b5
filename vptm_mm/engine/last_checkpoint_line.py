"""The line of an error message that names a run's last checkpoint.

It is the one that the run noted, whole or not; which one a run is resumed from
is for ``newest_whole_checkpoint.py`` to find.
"""

from pathlib import Path


def describe_last_checkpoint(work_dir: str) -> str:
    """Return a line for an error message; the folder may have been moved."""
    folder = Path(work_dir).absolute()
    note = folder / 'last_checkpoint'
    if note.is_file():
        path = Path(note.read_text().strip())
        for place in (path.absolute(), folder / path.name):
            if place.is_file():
                return f'last checkpoint: {place}'
    return f'last checkpoint: none yet in {folder}'
