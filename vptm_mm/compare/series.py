"""A series of runs of one setting, and what became of each."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mmengine.config import Config
from optuna.trial import FrozenTrial, TrialState

from .search import Point, Search, Seeds

SEARCH, FINAL = 'search', 'final'


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
        """What its study is known by, from the first look on."""
        return self.digest()[:16]

    @property
    def is_rewritten(self) -> bool:
        """Whether a file of weights has changed since then."""
        return self.digest()[:16] != self.key

    def __str__(self) -> str:
        return f'{self.dataset}, {self.method}, {self.stage}'


@dataclass(frozen=True)
class Run:
    """One slot of a series.

    Args:
        point: Its values.
        trial: The trial that counts; None if nobody has begun it.
    """

    point: Point
    trial: FrozenTrial | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether it waits in the queue."""
        return self.trial is not None and (
            self.trial.state == TrialState.WAITING
        )

    @property
    def is_ended(self) -> bool:
        """Whether it was measured or failed."""
        return self.trial is not None and self.trial.state.is_finished()

    @property
    def result(self) -> dict[str, Any]:
        """What was measured, or the error; empty before it has ended."""
        attrs = {} if self.trial is None else self.trial.user_attrs
        return attrs.get('result', {}) if self.is_ended else {}

    @property
    def value(self) -> float | None:
        """The accuracy that the study keeps; None if there is none."""
        return None if self.trial is None else self.trial.value
