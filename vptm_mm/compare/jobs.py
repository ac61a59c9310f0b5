"""From a plan to runs: one job is one config, trained once."""

import copy
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..datasets import check_data_roots, check_splits
from ..engine.launch import LOADERS
from .board import Board
from .digest import check_weights, config_digest
from .equal_terms import check_final_schedule, check_schedule, check_terms
from .plan import Axis, DataSet, Method, Plan
from .run_configs import (
    OPTIMIZER,
    base_config,
    final_config,
    load_config,
    missing_keys,
    seed_draws,
    set_keys,
    tuned_config,
    without_test,
    without_validation,
)
from .search import Point, Tried, best_point

SEARCH, FINAL = 'search', 'final'
REWRITTEN = (
    'a file of weights was rewritten during the comparison; start the '
    'comparison again when it has its last content'
)


# What was found to share no image.
_CHECKED: set[str] = set()


@dataclass(frozen=True)
class Variant:
    """A method with one value of an axis, or as it is.

    Args:
        axis: Name of the axis; empty for the method as it is.
        value: Its label in plots; empty on an axis that the method
            does not have.
        cfg_options: Changed keys of the config.
    """

    axis: str = ''
    value: str = ''
    cfg_options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One run.

    Args:
        dataset: Name of the data set.
        method: Name of the method.
        stage: ``'search'``, which has no test set, or ``'final'``.
        seed: Seed of the run.
        key: What the study knows it by. Of a final run it is the digest of
            its config; of a search, its digest and the slot.
        slot: Slot of the search; empty for a final run.
        point: Its hyper-parameters.
        cfg: Its config.
        digest: The sha256 of config and weights: equal runs have equal ones.
    """

    dataset: str
    method: str
    stage: str
    seed: int
    key: str
    slot: str
    point: Point
    cfg: Config
    digest: str

    @property
    def facts(self) -> dict[str, Any]:
        """What trials and results say of it."""
        return dict(
            dataset=self.dataset,
            method=self.method,
            stage=self.stage,
            seed=self.seed,
            digest=self.digest,
        )

    def __str__(self) -> str:
        return (
            f'{self.dataset}, {self.method}, {self.stage}, seed {self.seed}, '
            f'{self.point}'
        )


class Pair:
    """A method on a data set: its search, then its final runs.

    Args:
        plan: The plan.
        dataset: One of its data sets.
        method: One of its methods.
        read: In place of ``load_config``, as one that keeps what it read.
        searcher: The pair whose search chooses, the same method on another
            data set; by default this one.

    Raises:
        ValueError: If a config cannot be read or lacks a part, an option is
            unknown, a method does not train by epochs, its schedule does not
            end with training, data loaders share images, or an axis sets what
            the search sets, or some keys that a method lacks beside others
            that it has.
        FileNotFoundError: If a data set is not where the config says.
    """

    def __init__(
        self,
        plan: Plan,
        dataset: DataSet,
        method: Method,
        read: Callable[[Path, str], Config] | None = None,
        searcher: 'Pair | None' = None,
    ) -> None:
        self.plan = plan
        self.dataset = dataset
        self.method = method
        self.searcher = searcher or self
        self.base = base_config(plan, dataset, method, read or load_config)
        self._final_base = final_config(self.base, dataset, method)
        self.variants = [Variant()]
        for what, options in (
            ('--cfg-options', plan.overrides),
            (f'final of {dataset.name!r}', dataset.final),
            *(
                (f'axis {axis.name!r}', value)
                for axis in plan.axes
                for value in axis.values.values()
            ),
        ):
            self._check_search(what, set_keys(options))
        if plan.axes:
            self.variants = [
                variant for axis in plan.axes for variant in self._along(axis)
            ]
        self._check(self._search(Point()))
        for variant in self.variants:
            self._check(self._final(variant, Point()))
        self._configs: dict[tuple[int, Point], Config] = {}
        self._finals: dict[tuple[int, int, Point], Job] = {}

    def __str__(self) -> str:
        return f'{self.dataset.name}, {self.method.name}'

    @cached_property
    def search_key(self) -> str:
        """Digest of the config without what is searched, and of the box."""
        return self._make_search_key()

    def _make_search_key(self) -> str:
        search = self.method.search
        point = Point(
            1.0 if search.learning_rate else None,
            1.0 if search.weight_decay else None,
        )
        return config_digest(self._search(point), search.box)

    def tried(self, board: Board) -> list[Tried]:
        """Return what became of the search's slots so far."""
        return [
            Tried(
                entry.slot,
                Point(**entry.point),
                entry.is_finished,
                entry.result.get('val'),
            )
            for entry in board.of_search(self.search_key)
        ]

    def search_slots(self, board: Board) -> list[str]:
        """Return the slots of its own search, as far as they are known."""
        search = self.method.search
        if self.searcher is not self or not search.is_needed:
            return []
        return search.slots(self.tried(board))

    def search_done(self, board: Board) -> int:
        """Return how many slots of the search have ended."""
        slots = self.search_slots(board)
        return sum(board.is_finished(self._key(slot)) for slot in slots)

    def open_search(self, board: Board) -> Job | None:
        """Return a run of the search that nobody has taken."""
        for slot in self.search_slots(board):
            if board.is_open(self._key(slot)):
                if self._make_search_key() != self.search_key:
                    raise ValueError(f'{self}: {REWRITTEN}')
                point = self.method.search.point(slot, self.tried(board))
                return self._job(self._search(point), point, 0, SEARCH, slot)
        return None

    def chosen(self, board: Board) -> Point | None:
        """Return the best point on validation; None if none is, or not yet."""
        if self.searcher is not self:
            return self.searcher.chosen(board)
        search = self.method.search
        if not search.is_needed:
            return search.point(search.slots([])[0], [])
        slots = self.search_slots(board)
        if self.search_done(board) < len(slots):
            return None
        by_slot = {one.slot: one for one in self.tried(board)}
        return best_point([by_slot[slot] for slot in slots])

    def finals(self, board: Board) -> list[Job]:
        """Return the final runs; none before the search has ended."""
        point = self.chosen(board)
        if point is None:
            return []
        return [
            self.final(index, point, seed)
            for index in range(len(self.variants))
            for seed in range(self.plan.seeds)
        ]

    def final(self, index: int, point: Point, seed: int) -> Job:
        """Return the final run of one variant and seed."""
        known = (index, seed, point)
        if known not in self._finals:
            if (index, point) not in self._configs:
                cfg = self._final(self.variants[index], point)
                self._configs[index, point] = cfg
            cfg = copy.deepcopy(self._configs[index, point])
            self._finals[known] = self._job(cfg, point, seed, FINAL)
        return self._finals[known]

    def has_failed(self, board: Board) -> bool:
        """Whether the search has ended and every run of it failed."""
        if self.searcher is not self:
            return self.searcher.has_failed(board)
        ended = self.search_done(board) == len(self.search_slots(board))
        return ended and self.chosen(board) is None

    def _key(self, slot: str) -> str:
        return f'{self.search_key}/{slot}'

    def _check(self, cfg: Config) -> None:
        """Let nothing start that the run itself would refuse."""
        seed_draws(cfg, 0)
        for name in LOADERS:
            check_data_roots(cfg.get(name))
        try:
            _check_images(cfg)
            check_schedule(cfg, bool(self.method.search.learning_rate))
            check_final_schedule(cfg)
            check_weights(cfg)
        except (ValueError, FileNotFoundError) as error:
            raise type(error)(f'{self}: {error}') from error

    def _check_search(self, what: str, keys: Iterable[str]) -> None:
        """Require that no key sets what the search sets."""
        search = self.method.search
        searched = [
            key
            for key, is_searched in (
                (f'{OPTIMIZER}.lr', search.learning_rate),
                (f'{OPTIMIZER}.weight_decay', search.weight_decay),
                (OPTIMIZER, search.optimizer),
            )
            if is_searched
        ]
        for key, mine in itertools.product(searched, keys):
            if f'{mine}.'.startswith(f'{key}.') or key.startswith(f'{mine}.'):
                raise ValueError(
                    f'{what} sets {mine}, and so does the search of '
                    f'{self.method.name!r}. Give the method search: fixed '
                    '(--search fixed: all methods), or leave the key out.'
                )

    def _along(self, axis: Axis) -> list[Variant]:
        """Return the axis' values, or the method as it is if it has none."""
        missing = missing_keys(self._final_base, axis)
        if len(missing) == len(axis.keys):
            return [Variant(axis.name)]
        if missing:
            raise ValueError(
                f'axis {axis.name!r}: {self} has no '
                f'{", ".join(map(repr, missing))}, which the axis sets beside '
                'others. Correct the key, or take the method out of the axis.'
            )
        return [
            Variant(axis.name, label, options)
            for label, options in axis.values.items()
        ]

    def _job(
        self, cfg: Config, point: Point, seed: int, stage: str, slot: str = ''
    ) -> Job:
        cfg.merge_from_dict({'randomness.seed': seed})
        seed_draws(cfg, seed)
        digest = config_digest(cfg)
        return Job(
            dataset=self.dataset.name,
            method=self.method.name,
            stage=stage,
            seed=seed,
            key=self._key(slot) if slot else digest,
            slot=slot,
            point=point,
            cfg=cfg,
            digest=digest,
        )

    def _search(self, point: Point) -> Config:
        """Return the config of a run of the search."""
        search = self.method.search
        return without_test(tuned_config(self.base, search, {}, point))

    def _final(self, variant: Variant, point: Point) -> Config:
        """Return the config of a final run, whose seed is still to be set."""
        cfg = tuned_config(
            self._final_base, self.method.search, variant.cfg_options, point
        )
        return without_validation(cfg) if self.dataset.final else cfg


def make_pairs(plan: Plan) -> list[Pair]:
    """Return all pairs of a plan, their configs checked.

    Raises:
        ValueError: If there is no pair, if a pair is wrong, if methods on one
            data set are not compared on equal terms, or if no method has the
            key of an axis.
        FileNotFoundError: If a data set is not where the config says.
    """
    read = cache(load_config)
    searchers = _make_searchers(plan, read)
    pairs = [
        searchers[method.name]
        if dataset.name == plan.search_on
        else Pair(plan, dataset, method, read, searchers.get(method.name))
        for dataset in plan.datasets
        for method in plan.methods
    ]
    if not pairs:
        raise ValueError(
            f'the plan {plan.name!r} is empty: {len(plan.methods)} methods, '
            f'{len(plan.datasets)} data sets. Name one of each at least.'
        )
    for dataset in plan.datasets:
        here = [pair for pair in pairs if pair.dataset == dataset]
        check_terms(
            dataset.name,
            [pair.method for pair in here],
            [pair.base for pair in here],
        )
    for axis in plan.axes:
        if all(Variant(axis.name) in pair.variants for pair in pairs):
            raise ValueError(
                f'axis {axis.name!r}: no method has '
                f'{", ".join(map(repr, axis.keys))}: '
                f'{", ".join(method.name for method in plan.methods)}. '
                'Correct the key.'
            )
    return pairs


def _check_images(cfg: Config) -> None:
    """Compare the images of data loaders, once for all runs that read them."""
    parts = (*LOADERS, 'default_hooks', 'custom_hooks')
    text = repr([cfg.get(part) for part in parts])
    if text not in _CHECKED:
        check_splits(cfg, LOADERS)
        _CHECKED.add(text)


def _make_searchers(
    plan: Plan, read: Callable[[Path, str], Config]
) -> dict[str, Pair]:
    """Return the pair that searches for all data sets, by method."""
    if not plan.search_on:
        return {}
    for dataset in plan.datasets:
        if dataset.name == plan.search_on:
            return {
                method.name: Pair(plan, dataset, method, read)
                for method in plan.methods
            }
    raise ValueError(
        f'search_on={plan.search_on!r} is none of the data sets that are '
        f'compared: {", ".join(one.name for one in plan.datasets)}. Name one '
        "of them, add it, or let each search for itself by --search-on ''."
    )
