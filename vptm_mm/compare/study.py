"""The study: what all workers share, in a storage of Optuna."""

import os
import socket
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .board import DONE, FAILED, OPEN, RUNNING, Board, Entry
from .jobs import SEARCH, Job
from .optuna_import import import_optuna, sqlite_path

# A run that took its worker with it so often is given up.
MAX_DEATHS = 3
RETRIED = 'retried'


class Study:
    """Claims runs and keeps what they measured.

    Optuna's own queue is not used: on SQLite it hands one waiting trial to
    two workers. A claim here is a running trial that carries the key of its
    job. Storages number trials one after the other, whoever creates them; so
    each worker creates its claim, reads all claims of the job, and goes on
    only if its own has the lowest number. Nobody can have created a lower one
    unseen.

    A worker renews its claims by a heartbeat. One that has not changed for
    ``stale_after`` seconds, by the clock of the worker that watches, is given
    free. So clocks may differ, and a killed worker's run is done again.

    Args:
        storage: A database URL as SQLAlchemy takes it, or the path of a
            journal file.
        name: Name of the study.
        stale_after: Seconds.

    Raises:
        ImportError: If Optuna is missing.
        ValueError: If the storage cannot be opened.
    """

    def __init__(
        self, storage: str, name: str, stale_after: float = 60.0
    ) -> None:
        self.optuna = import_optuna()
        self.stale_after = stale_after
        self.worker = f'{socket.gethostname()}:{os.getpid()}'
        self._storage = _open(self.optuna, storage)
        self.optuna.create_study(
            storage=self._storage,
            study_name=name,
            direction='maximize',
            load_if_exists=True,
        )
        self._id = self._storage.get_study_id_from_name(name)
        self._states = self.optuna.trial.TrialState
        # Last heartbeat of each claim of others, and when it was first seen.
        self._seen: dict[int, tuple[float, float]] = {}

    def read(self) -> Board:
        """Return the state of all runs; free the claims of dead workers."""
        trials = self._trials()
        retried = self._storage.get_study_user_attrs(self._id).get(RETRIED, [])
        by_key: dict[str, list] = defaultdict(list)
        for trial in trials:
            if 'job' in trial.user_attrs and trial.number not in retried:
                by_key[trial.user_attrs['job']].append(trial)
        return Board(self._entry(key, group) for key, group in by_key.items())

    def claim(self, job: Job) -> int | None:
        """Return the claim on a job; None if another worker was first."""
        trial_id = self._storage.create_new_trial(
            self._id, self._new_trial(job)
        )
        others = [
            trial
            for trial in self._trials()
            if trial.user_attrs.get('job') == job.key
            and trial._trial_id != trial_id
        ]
        own = self._storage.get_trial(trial_id).number
        retried = self._storage.get_study_user_attrs(self._id).get(RETRIED, [])
        for other in others:
            if other.number in retried or other.number > own:
                continue
            ended = 'result' in other.user_attrs
            if ended or other.state == self._states.RUNNING:
                self.release(trial_id, 'withdrawn')
                return None
        return trial_id

    def beat(self, trial_id: int) -> bool:
        """Renew a claim; return whether it still holds."""
        return self._write(trial_id, 'heartbeat', time.time())

    def finish(self, trial_id: int, result: dict[str, Any]) -> None:
        """Record what was measured, or the error."""
        state, values = self._states.FAIL, None
        if 'error' not in result:
            # Without validation, what was tested.
            shown = result['test' if result['val'] is None else 'val']
            state, values = self._states.COMPLETE, [shown]
        if self._write(trial_id, 'result', result):
            self._end(trial_id, state, values)

    def release(self, trial_id: int, why: str = 'released') -> None:
        """Give a claim back; the job is open again."""
        if self._write(trial_id, 'ended', why):
            self._end(trial_id, self._states.FAIL)

    def retry_failed(self) -> None:
        """Open all failed runs again."""
        failed = [
            trial.number
            for trial in self._trials()
            if trial.state == self._states.FAIL
        ]
        self._storage.set_study_user_attr(self._id, RETRIED, failed)

    def _trials(self) -> Sequence[Any]:
        return self._storage.get_all_trials(self._id, deepcopy=False)

    def _new_trial(self, job: Job) -> Any:
        distribution = self.optuna.distributions.FloatDistribution
        params, distributions = {}, {}
        if job.stage == SEARCH:
            # One panel for each method in plots of the dashboard.
            for name, value in asdict(job.point).items():
                if value is not None:
                    log = name == 'learning_rate'
                    param = f'{job.dataset} | {job.method} | {name}'
                    params[param] = value
                    distributions[param] = distribution(
                        1e-12 if log else 0.0, 1e9, log=log
                    )
        return self.optuna.trial.create_trial(
            state=self._states.RUNNING,
            params=params,
            distributions=distributions,
            user_attrs=dict(
                job.facts,
                job=job.key,
                slot=job.slot,
                point=asdict(job.point),
                worker=self.worker,
                heartbeat=time.time(),
            ),
        )

    def _entry(self, key: str, trials: Sequence[Any]) -> Entry:
        """Join all claims on one job into its state."""
        entry = Entry(key)
        deaths = 0
        for trial in trials:
            attrs = trial.user_attrs
            found = OPEN
            if 'result' in attrs and trial.state.is_finished():
                found = FAILED if 'error' in attrs['result'] else DONE
            elif trial.state == self._states.RUNNING:
                found = OPEN if self._is_stale(trial) else RUNNING
            deaths += attrs.get('ended') == 'stale'
            if entry.state == OPEN or found == DONE:
                entry.state = found
                entry.slot = attrs['slot']
                entry.point = attrs['point']
                entry.result = dict(attrs.get('result') or {})
        if entry.state == OPEN and deaths >= MAX_DEATHS:
            entry.state = FAILED
            entry.result = dict(error=f'its worker died {deaths} times')
        return entry

    def _is_stale(self, trial: Any) -> bool:
        """Whether a claim's heartbeat stands still; if so, free it."""
        beat = trial.user_attrs['heartbeat']
        now = time.monotonic()
        last, since = self._seen.get(trial._trial_id, (None, now))
        if last != beat:
            since = now
        self._seen[trial._trial_id] = (beat, since)
        if now - since < self.stale_after:
            return False
        self.release(trial._trial_id, 'stale')
        return True

    def _write(self, trial_id: int, key: str, value: Any) -> bool:
        try:
            self._storage.set_trial_user_attr(trial_id, key, value)
        except self.optuna.exceptions.UpdateFinishedTrialError:
            return False  # another worker took this one for dead
        return True

    def _end(
        self, trial_id: int, state: Any, values: list[float] | None = None
    ) -> None:
        try:
            self._storage.set_trial_state_values(trial_id, state, values)
        except self.optuna.exceptions.UpdateFinishedTrialError:
            return


def _open(optuna: Any, storage: str) -> Any:
    """Open a storage; workers that start together may collide once."""
    if '://' not in storage:
        path = Path(storage)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            journal = optuna.storages.journal.JournalFileBackend(str(path))
            return optuna.storages.JournalStorage(journal)
        except (OSError, ValueError) as error:
            raise ValueError(
                f'storage {storage!r} cannot be opened as a journal file: '
                f'{error}. Give the path of another one, or of a new one; a '
                f'study in SQLite is named sqlite:///{storage}.'
            ) from error
    options: dict[str, Any] = {}
    if storage.startswith('sqlite:///'):
        path = sqlite_path(storage)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Seconds to wait while another worker writes.
        options = dict(connect_args=dict(timeout=60))
    left = 4
    while True:
        try:
            return optuna.storages.RDBStorage(storage, engine_kwargs=options)
        except Exception as error:
            # Of SQLAlchemy and of each database's driver: no common class.
            if not left:
                raise ValueError(
                    f'storage {storage!r} cannot be opened: {error}. Give a '
                    'URL such as sqlite:///study.db or '
                    'postgresql://user@host/name, or the path of a journal '
                    'file.'
                ) from error
            left -= 1
            time.sleep(0.5)
