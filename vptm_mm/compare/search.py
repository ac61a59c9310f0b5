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
FACTOR = 4.0  # from the learning rate at an end of a grid to the next
STARTUP = 6  # random points before TPE takes over
HIGHEST = 1e9  # of the values that a study takes


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
class Search:
    """Learning rates and weight decays: a grid, or with ``trials`` a box.

    While the best learning rate lies at an end of the grid, the grid may grow
    there, so that no method starves because the grid was made for another. In
    the box Optuna's tree-structured Parzen estimator chooses, log-uniform.

    Args:
        learning_rate: Learning rates, of a box the lowest and the highest;
            empty for the config's own.
        weight_decay: Weight decays, as above.
        growths: How often the grid may grow.
        optimizer: Replaces the config's optimizer, its rates excepted.
        base_batch_size: Learning rates are for this batch size, and scaled
            with the config's; None for rates that are used as they stand.
        trials: How many points of the box are tried; 0 for a grid.

    Raises:
        ValueError: If a value is of the wrong kind, or out of range.
    """

    learning_rate: tuple[float, ...] = ()
    weight_decay: tuple[float, ...] = ()
    growths: int = 0
    optimizer: dict[str, Any] = field(default_factory=dict)
    base_batch_size: int | None = None
    trials: int = 0

    def __post_init__(self) -> None:
        for name in ('learning_rate', 'weight_decay'):
            values = getattr(self, name)
            may_be_0 = name == 'weight_decay' and not self.trials
            for value in values:
                is_right = is_finite(value) and value >= 0
                if not is_right or (value == 0 and not may_be_0):
                    wanted = '>= 0' if may_be_0 else 'positive'
                    raise ValueError(
                        f'search: {name}={value!r} must be {wanted}.'
                    )
            is_box = len(values) == 2 and values[0] < values[1]
            if self.trials and values and not is_box:
                raise ValueError(
                    f'search: {name}={list(values)} of the preset tpe must be '
                    '[lowest, highest].'
                )
        for name in ('growths', 'trials'):
            value = getattr(self, name)
            if not (is_int(value) and value >= 0):
                raise ValueError(
                    f'search: {name}={value!r} must be an int >= 0.'
                )
        if (self.growths or self.trials) and not self.learning_rate:
            raise ValueError(
                'search: a search that grows, or has trials, needs '
                'learning_rate=[...].'
            )

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to choose."""
        return self.growths > 0 or len(self.slots({})) > 1

    @property
    def box(self) -> tuple[Any, ...]:
        """What the points of the slots depend on, beside their names."""
        if not self.trials:
            return ()
        return self.learning_rate, self.weight_decay, STARTUP

    def slots(self, ended: Ended) -> dict[str, Point]:
        """Return the point of each slot, as far as the grid has grown.

        The points of a box are empty: the estimator chooses them.
        """
        if self.trials:
            return {f'tpe-{index}': {} for index in range(self.trials)}
        rates = list(self.learning_rate)
        for _ in range(self.growths):
            points = self._points(rates)
            best = best_slot(points, ended)
            if best is None or not points.keys() <= ended.keys():
                break
            rate = points[best]['learning_rate']
            if rate == max(rates):
                rates.append(_rounded(rate * FACTOR))
            elif rate == min(rates):
                rates.append(_rounded(rate / FACTOR))
            else:
                break
        return self._points(rates)

    def suggest(self, trial: optuna.Trial) -> None:
        """Give a trial its values: those it was queued with, or TPE's.

        Running points count, too (constant liar), and the trial's number is
        the seed: workers side by side do not all try the same.
        """
        rates: tuple[float, ...] = (1e-12, HIGHEST)
        decays: tuple[float, ...] = (0.0, HIGHEST)
        if self.trials:
            trial.study.sampler = optuna.samplers.TPESampler(
                n_startup_trials=STARTUP,
                constant_liar=True,
                seed=trial.number,
            )
            rates, decays = self.learning_rate, self.weight_decay
        if self.learning_rate:
            trial.suggest_float('learning_rate', *rates, log=True)
        if self.weight_decay:
            log = bool(self.trials)
            trial.suggest_float('weight_decay', *decays, log=log)

    def _points(self, rates: Iterable[float]) -> dict[str, Point]:
        axes = dict(learning_rate=rates, weight_decay=self.weight_decay)
        names = [name for name, values in axes.items() if values]
        points = [
            dict(zip(names, values, strict=True))
            for values in product(*(axes[name] for name in names))
        ]
        return {shown(point): point for point in points}


def make_search(entry: Any) -> Search:
    """Build a search from what a plan says.

    Args:
        entry: The name of a preset, or a mapping with ``preset`` and with
            arguments of ``Search`` that differ.

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
    allowed = [one.name for one in fields(Search)]
    for key, value in options.items():
        if key not in allowed:
            raise ValueError(
                f'search: unknown key {key!r}; keys are preset, '
                f'{", ".join(allowed)}.'
            )
        if key in ('learning_rate', 'weight_decay'):
            values = value if isinstance(value, (list, tuple)) else [value]
            options[key] = tuple(values)
    return replace(PRESETS[name], **options)


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


def _rounded(value: float) -> float:
    return float(f'{value:.6g}')


# The grids of Visual Prompt Tuning, arXiv 2203.12119, appendix A: SGD for
# prompts and linear heads, AdamW for full, bias and adapter tuning; base rates
# for a batch of 256.
VPT_WEIGHT_DECAY = (0.01, 0.001, 0.0001, 0.0)
PRESETS: dict[str, Search] = {
    'fixed': Search(),
    'grow': Search(learning_rate=(0.01, 0.05, 0.2), growths=3),
    'grid': Search(learning_rate=(0.01, 0.05, 0.2)),
    'vpt': Search(
        learning_rate=(50, 25, 10, 5, 2.5, 1, 0.5, 0.25, 0.1, 0.05),
        weight_decay=VPT_WEIGHT_DECAY,
        optimizer=dict(type='SGD', momentum=0.9),
        base_batch_size=256,
    ),
    'vpt-adamw': Search(
        learning_rate=(0.005, 0.001, 0.0005, 0.0001),
        weight_decay=VPT_WEIGHT_DECAY,
        optimizer=dict(type='AdamW'),
        base_batch_size=256,
    ),
    'tpe': Search(
        learning_rate=(1e-4, 1.0), weight_decay=(1e-5, 1e-1), trials=20
    ),
}
