"""Studies of Optuna, one for each series of runs: what was run by whom."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna
from mmengine.config import Config
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from .search import Point, Search, Seeds

# Its log names each trial that it creates; ours says more.
optuna.logging.set_verbosity(optuna.logging.WARNING)
SEARCH, FINAL = 'search', 'final'
# A run that took its worker with it so often is given up.
MAX_DEATHS = 3


@dataclass(frozen=True, eq=False)
class Series:
    """Runs that differ in a few values: those of a search, or of the seeds.

    Args:
        dataset: Name of the data set.
        method: Name of the method.
        stage: ``'search'``, which has no test set, or ``'final'``.
        space: Which runs there are.
        config: Returns the config of a run, given its values.
        digest: Returns the sha256 of what is the same in all runs: config and
            weights.
        point: Values that all runs have.
    """

    dataset: str
    method: str
    stage: str
    space: Search | Seeds
    config: Callable[[Point], Config]
    digest: Callable[[], str]
    point: Point = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """The name of its study."""
        return self.digest()[:16]

    def __str__(self) -> str:
        return f'{self.dataset}, {self.method}, {self.stage}'


@dataclass(frozen=True)
class Run:
    """One slot of a series.

    Args:
        point: Its values.
        is_begun: Whether a worker took it.
        result: What was measured, or the error; empty before it has ended.
        value: The accuracy that the study keeps; None if there is none.
    """

    point: Point
    is_begun: bool = False
    result: dict[str, Any] = field(default_factory=dict)
    value: float | None = None


class Studies:
    """All series of a journal of Optuna, which workers share.

    A worker queues a run as a trial that names its slot, then takes the first
    of the queue. Two workers may queue a slot at the same time; the trial
    with the lower number counts. A worker that is alive says so in the trial.

    Args:
        path: The journal.
        stale_after: Seconds without a sign of life after which another worker
            may take over a run.
        retry_failed: Whether runs that failed before now are done again.
    """

    def __init__(
        self, path: Path, stale_after: int = 60, retry_failed: bool = False
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.stale_after = stale_after
        self._retry_before = datetime.now() if retry_failed else datetime.min
        self._storage = JournalStorage(JournalFileBackend(str(path)))
        self._studies: dict[str, optuna.Study] = {}
        self._ended: dict[Series, dict[str, Run]] = {}

    def runs(self, series: Series) -> dict[str, Run]:
        """Return the runs of a series by slot, as far as they are known."""
        if series in self._ended:
            return self._ended[series]
        found: dict[str | None, Run] = {}
        deaths: Counter[str | None] = Counter()
        for trial in self._study(series).get_trials(deepcopy=False):
            if self._is_retried(trial):
                continue
            slot = trial.user_attrs.get('slot')
            result = trial.user_attrs.get('result', {})
            is_failed = trial.state == TrialState.FAIL
            if trial.state == TrialState.RUNNING:
                found[slot] = Run(trial.params, is_begun=True)
            elif trial.state == TrialState.COMPLETE or (
                is_failed and 'error' in result
            ):
                found[slot] = Run(trial.params, True, result, trial.value)
            elif is_failed:
                deaths[slot] += 1
                if deaths[slot] == MAX_DEATHS:
                    error = f'its worker died {MAX_DEATHS} times'
                    found[slot] = Run({}, True, dict(error=error))
        ended = {
            str(slot): run.value for slot, run in found.items() if run.result
        }
        runs = {}
        for slot, point in series.space.slots(ended).items():
            run = found.get(slot, Run(point))
            # Of a search by TPE, the trial alone knows its point.
            runs[slot] = replace(run, point=point or run.point)
        if all(run.result for run in runs.values()):
            self._ended[series] = runs
        return runs

    def take(self, series: Series) -> optuna.Trial | None:
        """Return a trial that is to be run now; None if there is none."""
        if series in self._ended:
            return None
        study = self._study(series)
        self._end_dead(study)
        runs = self.runs(series)
        slot = next((s for s, run in runs.items() if not run.is_begun), None)
        if slot is None:
            return None
        study.enqueue_trial(runs[slot].point, dict(slot=slot))
        trial = study.ask()
        # Without a slot, if another worker was faster.
        slot = trial.user_attrs.get('slot')
        if slot not in runs or self._is_double(trial):
            self.give_back(trial)
            return self.take(series)
        self.beat(trial)
        series.space.suggest(trial)
        return trial

    def beat(self, trial: optuna.Trial) -> None:
        """Show that the worker of a trial is alive."""
        with suppress(UpdateFinishedTrialError):
            trial.set_user_attr('beat', time.time())

    def finish(
        self, series: Series, trial: optuna.Trial, result: dict[str, Any]
    ) -> bool:
        """Record what was measured, or the error.

        Returns:
            False if the run was given to another worker meanwhile.
        """
        try:
            trial.set_user_attr('result', result)
        except UpdateFinishedTrialError:
            return False
        end: dict[str, Any] = dict(state=TrialState.FAIL)
        if 'error' not in result:
            measure = 'val' if series.stage == SEARCH else 'test'
            end = dict(values=result[measure])
        trial.study.tell(trial, skip_if_finished=True, **end)
        return True

    def give_back(self, trial: optuna.Trial) -> None:
        """End a trial as if it had not been taken."""
        trial.study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)

    def _study(self, series: Series) -> optuna.Study:
        if series.key not in self._studies:
            self._studies[series.key] = optuna.create_study(
                storage=self._storage,
                study_name=series.key,
                direction='maximize',
                load_if_exists=True,
            )
        return self._studies[series.key]

    def _is_retried(self, trial: FrozenTrial) -> bool:
        """Whether a trial failed before this worker began, which retries."""
        ended = trial.datetime_complete
        is_failed = trial.state == TrialState.FAIL
        return is_failed and ended is not None and ended < self._retry_before

    def _end_dead(self, study: optuna.Study) -> None:
        """Let trials fail whose workers have given no sign of life."""
        running = (TrialState.RUNNING,)
        for trial in study.get_trials(deepcopy=False, states=running):
            started: Any = trial.datetime_start
            last = trial.user_attrs.get('beat', started.timestamp())
            if time.time() - last > self.stale_after:
                study.tell(
                    trial.number, state=TrialState.FAIL, skip_if_finished=True
                )

    def _is_double(self, trial: optuna.Trial) -> bool:
        """Whether an earlier trial is of the same slot."""
        live = (TrialState.RUNNING, TrialState.COMPLETE)
        return any(
            other.number < trial.number
            and other.user_attrs.get('slot') == trial.user_attrs['slot']
            for other in trial.study.get_trials(deepcopy=False, states=live)
        )
