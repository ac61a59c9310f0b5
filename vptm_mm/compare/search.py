"""Which runs a study holds: grids, TPE, seeds.

Each run has a slot, a name that it keeps whatever becomes of it. The slots of
a search depend on validation accuracies and nothing else, so all workers take
the same decisions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import product
from typing import Any

import optuna

from ..nn import is_finite, is_int

# Values of a run by name: learning_rate, weight_decay, seed.
Point = dict[str, Any]
# The value of each slot that has ended; None if it failed.
Ended = Mapping[str, float | None]
# Highest value that a study takes of a rate or a decay.
HIGHEST = 1e9
COUNTS = ('growths', 'base_batch_size', 'trials', 'startup')


@dataclass(frozen=True)
class Seeds:
    """The final runs of a setting: one for each seed.

    Args:
        count: Seeds are 0 to ``count - 1``.
    """

    count: int

    def slots(self, ended: Ended) -> dict[str, Point]:
        """Return the point of each slot."""
        return {f'seed {seed}': dict(seed=seed) for seed in range(self.count)}

    def suggest(self, trial: optuna.Trial) -> None:
        """Give a trial its values."""
        trial.suggest_int('seed', 0, int(HIGHEST))


@dataclass(frozen=True)
class GridSearch:
    """A grid of learning rates and weight decays, which may grow.

    While the best learning rate lies at an end of the grid, the grid grows
    there, so that no method starves because the grid was made for another.

    Args:
        learning_rate: Learning rates; empty for the config's own.
        weight_decay: Weight decays; empty for the config's own.
        growths: How often the grid may grow.
        factor: Ratio of the new learning rate to the one at the end.
        optimizer: Replaces the config's optimizer, its rates excepted.
        base_batch_size: Learning rates are for this batch size, and scaled
            with the config's; None for rates that are used as they stand.

    Raises:
        ValueError: If a value is of the wrong kind, or out of range.
    """

    learning_rate: tuple[float, ...] = ()
    weight_decay: tuple[float, ...] = ()
    growths: int = 0
    factor: float = 4.0
    optimizer: dict[str, Any] = field(default_factory=dict)
    base_batch_size: int | None = None
    # The name of a slot is its point, wherever the grid ends.
    box = ()

    def __post_init__(self) -> None:
        _check_values('learning_rate', self.learning_rate, 'positive')
        _check_values('weight_decay', self.weight_decay, '>= 0')
        if self.growths and not self.learning_rate:
            raise ValueError(
                'search: a grid that grows needs learning rates; give '
                'learning_rate=[...], or growths=0.'
            )

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to choose."""
        return self.growths > 0 or len(self._points(self.learning_rate)) > 1

    def slots(self, ended: Ended) -> dict[str, Point]:
        """Return the point of each slot, as far as the grid has grown."""
        rates = list(self.learning_rate)
        for _ in range(self.growths):
            points = self._points(rates)
            best = best_slot(points, ended)
            if best is None or not points.keys() <= ended.keys():
                break
            rate = points[best]['learning_rate']
            if rate == max(rates):
                rates.append(_rounded(rate * self.factor))
            elif rate == min(rates):
                rates.append(_rounded(rate / self.factor))
            else:
                break
        return self._points(rates)

    def suggest(self, trial: optuna.Trial) -> None:
        """Give a trial its values, which were fixed when it was queued."""
        if self.learning_rate:
            trial.suggest_float('learning_rate', 1e-12, HIGHEST, log=True)
        if self.weight_decay:
            trial.suggest_float('weight_decay', 0, HIGHEST)

    def _points(self, rates: Iterable[float]) -> dict[str, Point]:
        axes = dict(learning_rate=rates, weight_decay=self.weight_decay)
        names = [name for name, values in axes.items() if values]
        points = [
            dict(zip(names, values, strict=True))
            for values in product(*(axes[name] for name in names))
        ]
        return {shown(point): point for point in points}


@dataclass(frozen=True)
class TPESearch:
    """Optuna's tree-structured Parzen estimator in a box, log-uniform.

    Bergstra et al., Algorithms for Hyper-Parameter Optimization
    <https://papers.nips.cc/paper/4443-algorithms-for-hyper-parameter-optimization>.

    Args:
        trials: How many points are tried.
        learning_rate: Lowest and highest learning rate.
        weight_decay: Lowest and highest weight decay; empty for the config's.
        startup: Random points before the estimator takes over.

    Raises:
        ValueError: If a value is of the wrong kind, or out of range.
    """

    trials: int = 20
    learning_rate: tuple[float, ...] = (1e-4, 1.0)
    weight_decay: tuple[float, ...] = (1e-5, 1e-1)
    startup: int = 6

    def __post_init__(self) -> None:
        for name in ('learning_rate', 'weight_decay'):
            limits = getattr(self, name)
            _check_values(name, limits, 'positive')
            wrong = limits and (len(limits) != 2 or limits[0] >= limits[1])
            if wrong or (not limits and name == 'learning_rate'):
                raise ValueError(
                    f'search: {name}={list(limits)} of the preset tpe must be '
                    '[lowest, highest].'
                )

    is_needed = True
    optimizer: dict[str, Any] = field(default_factory=dict, init=False)
    base_batch_size: None = field(default=None, init=False)

    @property
    def box(self) -> tuple[Any, ...]:
        """What the points of its slots depend on."""
        return self.learning_rate, self.weight_decay, self.startup

    def slots(self, ended: Ended) -> dict[str, Point]:
        """Return all slots; the estimator chooses each one's point."""
        return {f'tpe-{index}': {} for index in range(self.trials)}

    def suggest(self, trial: optuna.Trial) -> None:
        """Let the estimator choose the values of a trial.

        Running points count, too (constant liar), and the trial's number is
        the seed: workers side by side do not all try the same.
        """
        trial.study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=self.startup,
            constant_liar=True,
            seed=trial.number,
        )
        trial.suggest_float('learning_rate', *self.learning_rate, log=True)
        if self.weight_decay:
            trial.suggest_float('weight_decay', *self.weight_decay, log=True)


Search = GridSearch | TPESearch


def make_search(entry: Any) -> Search:
    """Build a search from what a plan says.

    Args:
        entry: The name of a preset, or a mapping with ``preset`` and with
            arguments of its class that differ.

    Raises:
        ValueError: If the preset or an argument is unknown.
    """
    options = dict(entry) if isinstance(entry, dict) else dict(preset=entry)
    name = options.pop('preset', 'grow')
    if not isinstance(name, str) or name not in PRESETS:
        raise ValueError(
            f'search: unknown preset {name!r}; presets are '
            f'{", ".join(PRESETS)}.'
        )
    preset = PRESETS[name]
    allowed = {one.name for one in fields(preset) if one.init}
    for key, value in options.items():
        if key not in allowed:
            raise ValueError(
                f'search: preset {name!r} has no {key!r}; it has '
                f'{", ".join(sorted(allowed))}.'
            )
        if key in ('learning_rate', 'weight_decay'):
            values = value if isinstance(value, (list, tuple)) else [value]
            options[key] = tuple(values)
        elif key in COUNTS and not (is_int(value) and value >= 0):
            raise ValueError(f'search: {key}={value!r} must be an int >= 0.')
    return replace(preset, **options)


def best_slot(slots: Iterable[str], ended: Ended) -> str | None:
    """Return the slot with the best value, the first of many.

    None if no run ended well.
    """
    values = {slot: ended.get(slot) for slot in slots}
    done = {slot: value for slot, value in values.items() if value is not None}
    return max(done, key=lambda slot: done[slot], default=None)


def shown(point: Point) -> str:
    """Return a point as tables and logs show it."""
    values = [f'{name} {value:g}' for name, value in point.items()]
    return ', '.join(values) or "config's own rates"


def _check_values(name: str, values: tuple[float, ...], wanted: str) -> None:
    for value in values:
        is_in = is_finite(value) and value >= 0
        if not is_in or (wanted == 'positive' and value == 0):
            raise ValueError(f'search: {name}={value!r} must be {wanted}.')


def _rounded(value: float) -> float:
    return float(f'{value:.6g}')


# The grids of Visual Prompt Tuning, arXiv 2203.12119, appendix A: SGD for
# prompts and linear heads, AdamW for full, bias and adapter tuning; base rates
# for a batch of 256.
VPT_WEIGHT_DECAY = (0.01, 0.001, 0.0001, 0.0)
PRESETS: dict[str, Search] = {
    'fixed': GridSearch(),
    'grow': GridSearch(learning_rate=(0.01, 0.05, 0.2), growths=3),
    'grid': GridSearch(learning_rate=(0.01, 0.05, 0.2)),
    'vpt': GridSearch(
        learning_rate=(50, 25, 10, 5, 2.5, 1, 0.5, 0.25, 0.1, 0.05),
        weight_decay=VPT_WEIGHT_DECAY,
        optimizer=dict(type='SGD', momentum=0.9),
        base_batch_size=256,
    ),
    'vpt-adamw': GridSearch(
        learning_rate=(0.005, 0.001, 0.0005, 0.0001),
        weight_decay=VPT_WEIGHT_DECAY,
        optimizer=dict(type='AdamW'),
        base_batch_size=256,
    ),
    'tpe': TPESearch(),
}
