"""A worker: takes open runs until none is left."""

import json
import shutil
import signal
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)

from .board import RUNNING, Board
from .digest import config_digest
from .jobs import REWRITTEN, Job, Pair
from .study import Study
from .trial import RESULT, start, write_json

# Seconds between two looks at the study while others run what is left.
POLL = 1.0


class Worker:
    """Runs what is open, one run after the other.

    Several workers may share a study; each decides alone, from what the study
    says.

    Args:
        study: The study.
        pairs: Methods on data sets.
        work_dir: Folder for logs (``runs``) and results (``results``).
        console: Where progress is shown.
        start_run: Starts a run in its folder; returns its process.
    """

    def __init__(
        self,
        study: Study,
        pairs: Sequence[Pair],
        work_dir: Path,
        console: Console | None = None,
        start_run: Callable[[dict, Path], Any] = start,
    ) -> None:
        self.study = study
        self.pairs = pairs
        self.work_dir = work_dir
        self.console = console or Console(stderr=True)
        self.start_run = start_run
        (work_dir / 'results').mkdir(parents=True, exist_ok=True)

    def run(self) -> Board:
        """Work until each run is done or failed; return the last state."""
        with Progress(
            TextColumn('{task.description}', markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn('{task.fields[left]}'),
            console=self.console,
        ) as progress:
            bar = progress.add_task('starting', left='')
            while True:
                board = self.study.read()
                done, total = count(self.pairs, board)
                left = time_left(board, total - done)
                progress.update(bar, completed=done, total=total, left=left)
                if done == total:
                    progress.update(bar, description='finished')
                    return board
                job = next_job(self.pairs, board)
                if job is None:
                    progress.update(bar, description='waiting for others')
                    time.sleep(POLL)
                    continue
                progress.update(bar, description=str(job))
                claim = self.study.claim(job)
                if claim is not None:
                    self._take(job, claim, f'{done + 1}/{total}')

    def _take(self, job: Job, claim: int, number: str) -> None:
        """Run a claimed job, or read what an earlier study measured."""
        path = self.work_dir / 'results' / f'{job.digest}.json'
        try:
            known = path.is_file()
            if known:
                result = json.loads(path.read_text())
            else:
                result = self._run(job, claim)
                if result is None:
                    self._say(f'{number} {job}: given to another worker')
                    return
                # A failure is kept by the study alone, where all workers see
                # that it is to be tried again.
                if 'error' not in result:
                    write_json(path, result)
        except BaseException:
            self.study.release(claim)
            raise
        self.study.finish(claim, result)
        if 'error' in result:
            self._say(f'{number} {job}: FAILED, {result["error"]}')
            return
        measured = ', '.join(
            f'{name} {result[key]:.2f}'
            for name, key in (('validation', 'val'), ('test', 'test'))
            if result[key] is not None
        )
        took = 'known' if known else f'{result["seconds"]:.0f} s'
        self._say(f'{number} {job}: {measured} ({took})')

    def _run(self, job: Job, claim: int) -> dict[str, Any] | None:
        """Return what a run measured; None if the claim was lost."""
        what = dict(job.facts, point=str(job.point))
        if config_digest(job.cfg) != job.digest:
            return dict(what, error=REWRITTEN)
        folder = self.work_dir / 'runs' / f'{claim:05d}_{job.digest[:12]}'
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        process = self.start_run(job.cfg.to_dict(), folder)
        try:
            while process.is_alive():
                process.join(self.study.stale_after / 6)
                if process.is_alive() and not self.study.beat(claim):
                    return None
        finally:
            if process.is_alive():
                process.kill()
                process.join()
        result = dict(what, run=folder.name)
        # Not known is which of them ran.
        if config_digest(job.cfg) != job.digest:
            return dict(result, error=REWRITTEN)
        path = folder / RESULT
        if path.is_file():
            return {**result, **json.loads(path.read_text())}
        return dict(result, error=_exit_text(process.exitcode))

    def _say(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


def next_job(pairs: Sequence[Pair], board: Board) -> Job | None:
    """Return the first run that is open, searches first."""
    for pair in pairs:
        job = pair.open_search(board)
        if job is not None:
            return job
    for pair in pairs:
        for job in pair.finals(board):
            if board.is_open(job.key):
                return job
    return None


def count(pairs: Sequence[Pair], board: Board) -> tuple[int, int]:
    """Return how many runs have ended, and how many there are so far."""
    done = total = 0
    for pair in pairs:
        slots = pair.search_slots(board)
        total += len(slots)
        done += pair.search_done(board)
        if pair.has_failed(board):
            continue
        total += len(pair.variants) * pair.plan.seeds
        done += sum(board.is_finished(job.key) for job in pair.finals(board))
    return done, total


def time_left(board: Board, runs: int) -> str:
    """Return the time left: open runs at the mean time of ended ones."""
    entries = board.entries.values()
    seconds = [e.result['seconds'] for e in entries if 'seconds' in e.result]
    if not seconds or not runs:
        return ''
    workers = max(1, sum(entry.state == RUNNING for entry in entries))
    left = runs * statistics.mean(seconds) / workers
    hours, minutes = divmod(round(left / 60), 60)
    if left < 60:
        return f'{left:.0f} s left'
    return f'{hours} h {minutes} min left' if hours else f'{minutes} min left'


def _exit_text(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return f'the run was ended by {name}; out of memory?'
    return f'the run ended with exit code {code} and left no result'
