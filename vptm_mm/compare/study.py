"""Studies of Optuna, one for each series: its queue, its trials."""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import event
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from .series import SEARCH, Run, Series

# Its log names each trial that it creates; ours says more.
optuna.logging.set_verbosity(optuna.logging.WARNING)
# A run that took its worker with it so often is given up.
MAX_DEATHS = 3
# Workers that start together may collide while they make the tables.
OPENINGS = 5
LIVE = (TrialState.WAITING, TrialState.RUNNING, TrialState.COMPLETE)


class Studies:
    """All series of a database, which workers share.

    A run is queued as a trial that names its slot, and whoever takes it from
    the queue runs it. Two workers may queue a slot at the same time; the
    trial with the lower number counts. A heartbeat shows that a worker is
    alive; without it Optuna fails the trial, and the slot is queued again.

    Args:
        storage: URL of the database.
        stale_after: Seconds without a heartbeat after which another worker
            may take over a run.

    Raises:
        ValueError: If the database cannot be opened.
    """

    def __init__(self, storage: str | URL, stale_after: int = 60) -> None:
        self.beat_seconds = max(1, stale_after // 6)
        self._storage = _open(storage, self.beat_seconds, stale_after)
        names = optuna.get_all_study_names(self._storage)
        # Equal settings share a study, whatever a plan calls them.
        self._names = {name.rpartition(' ')[2]: name for name in names}
        self._studies: dict[str, optuna.Study] = {}
        self._ended: dict[Series, dict[str, Run]] = {}
        self._seen: set[int] = set()

    def runs(self, series: Series) -> dict[str, Run]:
        """Return the runs of a series by slot, as far as they are known."""
        if series in self._ended:
            return self._ended[series]
        trials: dict[str, FrozenTrial] = {}
        for trial in self._trials(series):
            slot = trial.user_attrs['slot']
            if not _is_lost(trial):
                trials[slot] = trial
            elif slot in trials and trials[slot].state == TrialState.FAIL:
                del trials[slot]  # it was tried again, and that is lost
        values = {
            slot: trial.value
            for slot, trial in trials.items()
            if trial.state.is_finished()
        }
        runs = {}
        for slot, point in series.space.slots(values).items():
            last = trials.get(slot)
            # Of a search by TPE, the trial alone knows its point.
            runs[slot] = Run(point or (last.params if last else {}), last)
        if all(run.is_ended for run in runs.values()):
            self._ended[series] = runs
        return runs

    def take(self, series: Series) -> optuna.Trial | None:
        """Return a trial that is to be run now; None if there is none."""
        if series in self._ended:
            return None
        study = self._study(series)
        with _experimental():
            optuna.storages.fail_stale_trials(study)
        self._listen(study)
        runs = self.runs(series)
        if not any(run.is_waiting for run in runs.values()):
            slot = next((s for s, run in runs.items() if not run.trial), None)
            if slot is None:
                return None
            if self._give_up(series, slot):
                return self.take(series)
            study.enqueue_trial(runs[slot].point, dict(slot=slot))
        with _experimental():
            trial = study.ask()
        self.beat(trial)
        slot = trial.user_attrs.get('slot')
        if slot not in runs or self._is_double(series, trial):
            study.tell(trial, state=TrialState.PRUNED)
            return self.take(series)
        series.space.suggest(trial)
        return trial

    def beat(self, trial: optuna.Trial | FrozenTrial) -> None:
        """Show that the worker of a trial is alive."""
        self._storage.record_heartbeat(trial._trial_id)

    def _listen(self, study: optuna.Study) -> None:
        """Give each running trial one heartbeat when it is first seen.

        A worker may be killed between taking a trial and its first beat, and
        Optuna never fails a trial that has none.
        """
        running = (TrialState.RUNNING,)
        for trial in study.get_trials(deepcopy=False, states=running):
            if trial._trial_id not in self._seen:
                self._seen.add(trial._trial_id)
                self.beat(trial)

    def finish(
        self, series: Series, trial: optuna.Trial, result: dict[str, Any]
    ) -> bool:
        """Record what was measured, or the error.

        Returns:
            False if the run was given to another worker meanwhile.
        """
        try:
            trial.set_user_attr('result', result)
        except optuna.exceptions.UpdateFinishedTrialError:
            return False
        end: dict[str, Any] = dict(state=TrialState.FAIL)
        if 'error' not in result:
            measure = 'val' if series.stage == SEARCH else 'test'
            end = dict(values=result[measure])
        self._study(series).tell(trial, skip_if_finished=True, **end)
        return True

    def give_back(self, series: Series, trial: optuna.Trial) -> None:
        """End a trial as if it had not been taken."""
        self._study(series).tell(
            trial, state=TrialState.PRUNED, skip_if_finished=True
        )

    def retry_failed(self, series: Series) -> None:
        """Queue the failed runs of a series again."""
        study = self._study(series)
        for slot, run in self.runs(series).items():
            if 'error' in run.result:
                study.enqueue_trial(run.point, dict(slot=slot))
        self._ended.pop(series, None)

    def _study(self, series: Series) -> optuna.Study:
        if series.key not in self._studies:
            label = str(series).replace(', ', ' | ')
            self._studies[series.key] = optuna.create_study(
                storage=self._storage,
                study_name=self._names.setdefault(
                    series.key, f'{label} | {series.key}'
                ),
                direction='maximize',
                load_if_exists=True,
            )
        return self._studies[series.key]

    def _trials(self, series: Series) -> list[FrozenTrial]:
        trials = self._study(series).get_trials(deepcopy=False)
        return [trial for trial in trials if 'slot' in trial.user_attrs]

    def _is_double(self, series: Series, trial: optuna.Trial) -> bool:
        """Whether an earlier trial is of the same slot."""
        return any(
            other.number < trial.number
            and other.user_attrs['slot'] == trial.user_attrs['slot']
            and other.state in LIVE
            for other in self._trials(series)
        )

    def _give_up(self, series: Series, slot: str) -> bool:
        """Fail a slot that took too many workers with it."""
        deaths = sum(
            trial.user_attrs['slot'] == slot
            and trial.state == TrialState.FAIL
            and _is_lost(trial)
            for trial in self._trials(series)
        )
        if deaths < MAX_DEATHS:
            return False
        error = f'its worker died {deaths} times'
        self._study(series).add_trial(
            optuna.trial.create_trial(
                state=TrialState.FAIL,
                user_attrs=dict(slot=slot, result=dict(error=error)),
            )
        )
        return True


def sqlite_url(path: Path) -> URL:
    """Return the URL of a file, whatever characters its path has."""
    return URL.create('sqlite', database=str(path))


def _is_lost(trial: FrozenTrial) -> bool:
    """Whether a trial was given back, or its worker died."""
    is_failed = 'error' in trial.user_attrs.get('result', {})
    return trial.state == TrialState.PRUNED or (
        trial.state == TrialState.FAIL and not is_failed
    )


def _open(storage: str | URL, beat: int, grace: int) -> RDBStorage:
    """Open a database."""
    try:
        url = make_url(storage)
    except SQLAlchemyError as error:
        raise ValueError(
            f'storage {storage!r} must be the URL of a database, as '
            'sqlite:///study.db or postgresql://user@host/name. (A journal '
            'file of Optuna has no heartbeat, which gives the runs of killed '
            'workers free.)'
        ) from error
    is_sqlite = url.get_backend_name() == 'sqlite'
    # Seconds to wait while another worker writes.
    options = dict(connect_args=dict(timeout=60)) if is_sqlite else {}
    for left in reversed(range(OPENINGS)):
        try:
            if is_sqlite and url.database:
                Path(url.database).parent.mkdir(parents=True, exist_ok=True)
            with _experimental():
                opened = RDBStorage(
                    url.render_as_string(hide_password=False),
                    engine_kwargs=options,
                    heartbeat_interval=beat,
                    grace_period=grace,
                )
        except (SQLAlchemyError, ImportError, OSError, RuntimeError) as error:
            if not left:
                raise ValueError(
                    f'storage {url} cannot be opened: {error}. Give a URL '
                    'such as sqlite:///study.db or '
                    'postgresql://user@host/name.'
                ) from error
            time.sleep(0.5)
        else:
            break
    if is_sqlite:
        _lock_transactions(opened.engine)
    return opened


@contextmanager
def _experimental() -> Iterator[None]:
    """Leave out what Optuna warns of heartbeats, which are experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        yield


def _lock_transactions(engine: Engine) -> None:
    """Let a transaction of SQLite lock the database when it begins.

    Optuna reads whether a trial waits, then takes it. Other databases lock
    its row in between (FOR UPDATE), which SQLite does not know. See
    "Serializable isolation" in SQLAlchemy's pages on SQLite.
    """

    def connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None

    def begin(connection: Any) -> None:
        connection.exec_driver_sql('BEGIN IMMEDIATE')

    engine.dispose()
    event.listen(engine, 'connect', connect)
    event.listen(engine, 'begin', begin)
