"""What a work dir says of its run, whatever is missing or damaged there."""

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..tasks import find_task_file

# Iteration and value.
Point = tuple[int, float]


@dataclass
class RunFolder:
    """A run, as it is written down in its work dir.

    Args:
        folder: The work dir.
        scalars: Curves by name; those of validation stand at the iteration
            after which it took place.
        sessions: Folders of the log, a new one for each start.
        record: ``run.json`` of the last start; empty if there is none.
        config: The config of the last start.
        checkpoint: The tested checkpoint or the best one, else the last, else
            the task file.
        tests: Results by metric.
    """

    folder: Path
    scalars: dict[str, list[Point]] = field(default_factory=dict)
    sessions: list[Path] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)
    config: Path | None = None
    checkpoint: Path | None = None
    tests: dict[str, Any] = field(default_factory=dict)


def read_run(folder: str | Path) -> RunFolder:
    """Read a work dir. No code in it is run, no checkpoint is opened.

    Raises:
        FileNotFoundError: If there is no such folder, or no run in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f'no folder at {folder.absolute()}')
    # Their names are times, so the order is that of the starts.
    sessions = sorted(
        path.parent
        for path in folder.glob('*/vis_data')
        if any(path.glob('*.json')) or (path / 'config.py').is_file()
    )
    if not sessions:
        raise FileNotFoundError(
            f'no run in {folder.absolute()}: no folder of a start with '
            'vis_data/config.py. Give the work dir of vptm train, as '
            'work_dirs/CONFIG.'
        )
    lines = {path: _read_lines(path) for path in sessions}
    # vptm test starts in the same work dir, too.
    trained = [path for path in sessions if lines[path]] or sessions
    last = trained[-1]
    results = read_json(folder / 'test_results.json')
    return RunFolder(
        folder=folder,
        scalars=join_scalars(list(lines.values())),
        sessions=trained,
        record=read_json(last / 'run.json'),
        config=_first_file(last / 'vis_data' / 'config.py'),
        checkpoint=_find_checkpoint(folder, results),
        tests=results.get('metrics') or _last_test(sessions),
    )


def read_json(path: Path) -> dict[str, Any]:
    """Read an object; empty if the file is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _read_lines(session: Path) -> list[dict[str, float]]:
    """Read the logged numbers of one start, leaving out damaged ones."""
    path = session / 'vis_data' / 'scalars.json'
    if not path.is_file():
        return []
    lines = []
    for text in path.read_text('utf-8', errors='replace').splitlines():
        try:
            values = json.loads(text)
        except ValueError:  # the run was killed while it wrote
            continue
        if isinstance(values, dict):
            lines.append(
                {
                    name.removeprefix('train/').removeprefix('val/'): value
                    for name, value in values.items()
                    if isinstance(value, (int, float)) and math.isfinite(value)
                }
            )
    return lines


def join_scalars(
    starts: list[list[dict[str, float]]],
) -> dict[str, list[Point]]:
    """Join the curves of all starts: what was run again counts once."""
    curves: dict[str, dict[int, float]] = {}
    for lines in filter(None, starts):
        first = next((v['iter'] for v in lines if 'iter' in v), math.inf)
        curves = {
            name: {i: value for i, value in points.items() if i < first}
            for name, points in curves.items()
        }
        # A resumed run may begin with a validation, of the iteration before.
        iteration = max((i for c in curves.values() for i in c), default=0)
        for values in lines:
            # Validations have the epoch for a step; they follow an iteration.
            iteration = int(values.get('iter', iteration))
            for name, value in values.items():
                if name not in ('iter', 'step', 'epoch'):
                    curves.setdefault(name, {})[iteration] = value
    return {name: list(c.items()) for name, c in curves.items() if c}


def _first_file(*paths: Path) -> Path | None:
    return next((path for path in paths if path.is_file()), None)


def _number_in_name(checkpoint: Path) -> list[int]:
    """Epoch or iteration in a name: a copy of a folder has other times."""
    return [int(number) for number in re.findall(r'\d+', checkpoint.stem)[-1:]]


def _find_checkpoint(folder: Path, results: dict) -> Path | None:
    # The folder may have been moved: only names count.
    names = [str(results.get('checkpoint') or '')]
    last = folder / 'last_checkpoint'
    written = last.read_text(errors='replace') if last.is_file() else ''
    return _first_file(
        *(folder / Path(name).name for name in names if name),
        *sorted(folder.glob('best_*.pth'), key=_number_in_name, reverse=True),
        folder / (Path(written.strip()).name or last.name),
        *filter(None, [find_task_file(folder)]),
    )


def _last_test(sessions: list[Path]) -> dict[str, Any]:
    """Return what ``vptm test`` wrote at its last start here."""
    found = [read_json(s / f'{s.name}.json') for s in sessions]
    return next((test for test in reversed(found) if test), {})
