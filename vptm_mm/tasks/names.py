"""Names of tasks and of their files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..weights.checkpoint_file import PACKAGED, PACKAGED_FILES, SUFFIX

TASK_NAME = 'task.safetensors'  # behind the name of a config


def task_file_name(config: str | Path | None) -> str:
    """Name the task file of a run after its config."""
    return f'{Path(config).stem}.{TASK_NAME}' if config else TASK_NAME


def find_task_file(folder: str | Path) -> Path | None:
    """Find the task file of a work dir; the newest, if there are several.

    Earlier versions named all of them ``task.safetensors``: the last choice,
    for a run that was resumed has another one since.
    """
    found = [*Path(folder).glob(f'*.{TASK_NAME}'), Path(folder, TASK_NAME)]
    found = [path for path in found if path.is_file()]
    return max(
        found,
        key=lambda path: (path.name != TASK_NAME, path.stat().st_mtime),
        default=None,
    )


def name_and_path(file: str | Path) -> tuple[str, Path]:
    """Split ``NAME=FILE``; a file without a name is named after itself.

    Args:
        file: The path of a task file or its ``vptm_mm://`` address, with or
            without a name before it.
    """
    name, _, path = str(file).partition('=')
    if not path or Path(file).is_file():
        name, path = '', str(file)
    found = local_path(path)
    stem = found.name.removesuffix(SUFFIX).removesuffix('.pth')
    name = name or stem.removesuffix('.task')
    return name, found


def local_path(path: str | Path) -> Path:
    """Return the path of a file; ``vptm_mm://`` names one of the package."""
    if str(path).startswith(PACKAGED):
        return PACKAGED_FILES / str(path).removeprefix(PACKAGED)
    return Path(path).expanduser()


def name_files(
    files: str | Path | Sequence[str | Path] | Mapping[str, str | Path],
) -> dict[str, Path]:
    """Name task files, each a path, an address or ``'NAME=FILE'``."""
    if isinstance(files, Mapping):
        return {name: name_and_path(file)[1] for name, file in files.items()}
    named: dict[str, Path] = {}
    for file in [files] if isinstance(files, (str, Path)) else files:
        name, path = name_and_path(file)
        if named.setdefault(name, path) is not path:
            raise ValueError(
                f'two task files are named {name!r}; give them names, as in '
                f'first={named[name]} second={path}.'
            )
    return named
