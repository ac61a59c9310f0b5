"""A worker: takes runs that are to be done until none is left."""

import json
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import optuna
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from .digest import config_digest
from .pairs import Pair
from .plan import slug
from .search import Point, shown
from .study import Series, Studies
from .trial import RESULT, start

# Seconds between two looks at the studies while others run what is left.
POLL = 1.0


class Worker:
    """Runs what is to be done, one run after the other.

    Several workers may share the studies; each decides alone, from what they
    say.

    Args:
        studies: What was run, and by whom.
        pairs: Methods on data sets.
        work_dir: Folder for logs, one in ``runs`` for each run.
        console: Where progress is shown.
        start_run: Starts a run in its folder; returns its process.
    """

    def __init__(
        self,
        studies: Studies,
        pairs: Sequence[Pair],
        work_dir: Path,
        console: Console | None = None,
        start_run: Callable[[dict, Path], Any] = start,
    ) -> None:
        self.studies = studies
        self.pairs = pairs
        self.work_dir = work_dir
        self.console = console or Console(stderr=True)
        self.start_run = start_run

    def run(self) -> None:
        """Work until each run is done or failed."""
        with Progress(
            TextColumn('{task.description}', markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            speed_estimate_period=24 * 3600,
        ) as progress:
            done, total = self.count()
            bar = progress.add_task('starting', completed=done, total=total)
            while done < total:
                for series in self.series():
                    trial = self.studies.take(series)
                    if trial is not None:
                        text = f'{series}, {trial.user_attrs["slot"]}'
                        progress.update(bar, description=text)
                        self._do(series, trial, f'{done + 1}/{total}')
                        break
                else:
                    progress.update(bar, description='waiting for others')
                    time.sleep(POLL)
                done, total = self.count()
                progress.update(bar, completed=done, total=total)
            progress.update(bar, description='finished')

    def series(self) -> Iterator[Series]:
        """Yield all series, searches first; final ones once they are known."""
        for pair in self.pairs:
            if pair.search is not None:
                yield pair.search
        for pair in self.pairs:
            yield from pair.finals(self.studies)

    def count(self) -> tuple[int, int]:
        """Return how many runs have ended, and how many there are so far."""
        runs = [
            run
            for series in self.series()
            for run in self.studies.runs(series).values()
        ]
        unknown = sum(
            len(pair.variants) * pair.plan.seeds
            for pair in self.pairs
            if pair.chosen(self.studies) is None
            and not pair.has_failed(self.studies)
        )
        return sum(bool(run.result) for run in runs), len(runs) + unknown

    def _do(self, series: Series, trial: optuna.Trial, number: str) -> None:
        """Run a trial, and record what it measured."""
        slot = trial.user_attrs['slot']
        point = self.studies.runs(series)[slot].point
        what = f'{number} {series}, {shown({**series.point, **point})}'
        try:
            result = self._measure(series, trial, point)
        except BaseException:
            self.studies.give_back(trial)
            raise
        if not self.studies.finish(series, trial, result):
            said = 'given to another worker'
        elif 'error' in result:
            said = f'FAILED, {result["error"]}'
        else:
            measured = [
                f'{name} {result[key]:.2f}'
                for name, key in (('validation', 'val'), ('test', 'test'))
                if result[key] is not None
            ]
            said = f'{", ".join(measured)} ({result["seconds"]:.0f} s)'
        self.console.print(
            f'{what}: {said}', markup=False, highlight=False, soft_wrap=True
        )

    def _measure(
        self, series: Series, trial: optuna.Trial, point: Point
    ) -> dict[str, Any]:
        cfg = series.config(point)
        name = f'{slug(str(series))[:80]}_{series.key}_{trial.number}'
        folder = self.work_dir / 'runs' / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        process = self.start_run(cfg.to_dict(), folder)
        try:
            while process.is_alive():
                process.join(self.studies.stale_after / 6)
                self.studies.beat(trial)
        finally:
            if process.is_alive():
                process.kill()
                process.join()
        result = dict(digest=config_digest(cfg), run=folder.name)
        path = folder / RESULT
        if path.is_file():
            return {**result, **json.loads(path.read_text())}
        return dict(result, error=_exit_text(process.exitcode))


def _exit_text(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return f'the run was ended by {name}; out of memory?'
    return f'the run ended with exit code {code} and left no result'
