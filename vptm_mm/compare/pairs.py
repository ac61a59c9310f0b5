"""From a plan to runs: a method on a data set is searched, then measured."""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from mmengine.config import Config

from ..datasets import check_data_roots, check_splits
from ..datasets.split_check import chooses
from ..engine.launch import LOADERS
from .digest import config_digest
from .equal_terms import check_terms, overlap
from .plan import Axis, DataSet, Method, Plan
from .run_configs import (
    OPTIMIZER,
    base_config,
    final_config,
    seed_subsets,
    set_keys,
    takes,
    tuned_config,
    without_test,
    without_validation,
)
from .search import Point, Seeds, best_slot
from .study import FINAL, SEARCH, Series, Studies


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


class Pair:
    """A method on a data set: its search, then its final runs.

    Args:
        plan: The plan.
        dataset: One of its data sets.
        method: One of its methods.
        searcher: The pair whose search chooses, the same method on another
            data set; by default this one.

    Raises:
        ValueError: If a config cannot be read or lacks a part, an option is
            unknown, a method does not train by epochs, data loaders share
            images, or an axis sets what the search sets.
        FileNotFoundError: If a data set or weights are not where the config
            says.
    """

    def __init__(
        self,
        plan: Plan,
        dataset: DataSet,
        method: Method,
        searcher: 'Pair | None' = None,
    ) -> None:
        self.plan = plan
        self.dataset = dataset
        self.method = method
        self.searcher = searcher or self
        self.base = base_config(plan, dataset, method)
        self._final_base = final_config(self.base, dataset, method)
        self._check_search('--cfg-options', plan.overrides)
        self._check_search(f'final of {dataset.name!r}', dataset.final)
        for axis in plan.axes:
            for options in axis.values.values():
                self._check_search(f'axis {axis.name!r}', options)
        self.variants = [
            variant for axis in plan.axes for variant in self._along(axis)
        ] or [Variant()]
        self.search: Series | None = None
        if searcher is None and method.search.is_needed:
            self.search = Series(
                *(dataset.name, method.name, SEARCH, method.search),
                config=self.search_config,
                digest=self._search_digest,
            )
        self._check(self.search_config({}))
        for index in range(len(self.variants)):
            self._check(self.final_config(index, {}, 0))
        self.final = cache(self._final)

    def __str__(self) -> str:
        return f'{self.dataset.name}, {self.method.name}'

    def search_config(self, point: Point) -> Config:
        """Return the config of a run of the search."""
        cfg = tuned_config(self.base, self.method.search, {}, point)
        return _seeded(without_test(cfg), 0)

    def final_config(self, index: int, point: Point, seed: int) -> Config:
        """Return the config of a final run of one variant."""
        options = self.variants[index].cfg_options
        cfg = tuned_config(
            self._final_base, self.method.search, options, point
        )
        if self.dataset.final:
            cfg = without_validation(cfg)
        return _seeded(cfg, seed)

    def chosen(self, studies: Studies) -> Point | None:
        """Return the best point on validation; None if none is, or not yet."""
        if self.searcher is not self:
            return self.searcher.chosen(studies)
        if self.search is None:
            (point,) = self.method.search.slots({}).values()
            return point
        runs = studies.runs(self.search)
        if not all(run.result for run in runs.values()):
            return None
        best = best_slot(runs, {slot: run.value for slot, run in runs.items()})
        return None if best is None else runs[best].point

    def is_at_end(self, studies: Studies) -> bool:
        """Whether the lowest or highest rate won: a better may lie beyond."""
        search, point = self.searcher.search, self.chosen(studies)
        if search is None or point is None:
            return False
        runs = studies.runs(search).values()
        rates = {run.point.get('learning_rate', 0.0) for run in runs}
        ends = (min(rates), max(rates)) if len(rates) > 1 else ()
        return point.get('learning_rate') in ends

    def has_failed(self, studies: Studies) -> bool:
        """Whether the search has ended and every run of it failed."""
        search = self.searcher.search
        return search is not None and all(
            'error' in run.result for run in studies.runs(search).values()
        )

    def finals(self, studies: Studies) -> list[Series]:
        """Return the final runs of each variant; none before the search."""
        point = self.chosen(studies)
        if point is None:
            return []
        indices = range(len(self.variants))
        return [self.final(index, *point.items()) for index in indices]

    def _final(self, index: int, *items: tuple[str, Any]) -> Series:
        point = dict(items)
        return Series(
            *(self.dataset.name, self.method.name, FINAL),
            space=Seeds(self.plan.seeds),
            config=lambda run: self.final_config(index, point, run['seed']),
            digest=lambda: config_digest(self.final_config(index, point, 0)),
            point=point,
        )

    def _search_digest(self) -> str:
        """Digest the config without what is searched, and the box."""
        search = self.method.search
        names = ('learning_rate', 'weight_decay')
        point = {name: 1.0 for name in names if getattr(search, name)}
        return config_digest(self.search_config(point), search.box)

    def _check(self, cfg: Config) -> None:
        """Let nothing start that the run itself would refuse."""
        for name in LOADERS:
            check_data_roots(cfg.get(name))
        try:
            _check_images(cfg)
            config_digest(cfg)  # which reads the weights
        except (ValueError, FileNotFoundError) as error:
            raise type(error)(f'{self}: {error}') from error

    def _check_search(self, what: str, options: dict[str, Any]) -> None:
        """Require that options do not set what the search sets."""
        search = self.method.search
        searched = {
            f'{OPTIMIZER}.lr': search.learning_rate,
            f'{OPTIMIZER}.weight_decay': search.weight_decay,
            OPTIMIZER: search.optimizer,
        }
        for mine in set_keys(options):
            if any(searched[key] and overlap(key, mine) for key in searched):
                raise ValueError(
                    f'{what} sets {mine}, and so does the search of '
                    f'{self.method.name!r}. Give the method search: fixed '
                    '(--search fixed: all methods), or leave the key out.'
                )

    def _along(self, axis: Axis) -> list[Variant]:
        """Return the axis' values, or the method as it is if it has none."""
        first = next(iter(axis.values.values()))
        is_for_it = all(map(self.method.takes, first))
        if not (is_for_it and takes(self._final_base, first)):
            return [Variant(axis.name)]
        return [
            Variant(axis.name, label, options)
            for label, options in axis.values.items()
        ]


def make_pairs(plan: Plan) -> list[Pair]:
    """Return all pairs of a plan, their configs checked.

    Raises:
        ValueError: If a pair is wrong, if methods on one data set are not
            compared on equal terms, if no method has the keys of an axis, or
            if the data set that is to choose is not compared.
        FileNotFoundError: If a data set is not where the config says.
    """
    by_name = {dataset.name: dataset for dataset in plan.datasets}
    searchers: dict[str, Pair] = {}
    if plan.search_on:
        if plan.search_on not in by_name:
            raise ValueError(
                f'search_on={plan.search_on!r} is none of the data sets that '
                f'are compared: {", ".join(by_name)}. Name one of them, add '
                "it, or let each search for itself by --search-on ''."
            )
        searchers = {
            method.name: Pair(plan, by_name[plan.search_on], method)
            for method in plan.methods
        }
    pairs = [
        searchers[method.name]
        if dataset.name == plan.search_on
        else Pair(plan, dataset, method, searchers.get(method.name))
        for dataset in plan.datasets
        for method in plan.methods
    ]
    for dataset in plan.datasets:
        here = [pair for pair in pairs if pair.dataset == dataset]
        check_terms(
            dataset.name,
            [pair.method for pair in here],
            [pair.base for pair in here],
        )
    for axis in plan.axes:
        if all(Variant(axis.name) in pair.variants for pair in pairs):
            keys = next(iter(axis.values.values()))
            raise ValueError(
                f'axis {axis.name!r}: no method has '
                f'{", ".join(map(repr, keys))}: '
                f'{", ".join(method.name for method in plan.methods)}. '
                'Correct the key.'
            )
    return pairs


# What was found to share no image.
_CHECKED: set[str] = set()


def _check_images(cfg: Config) -> None:
    """Compare the images of data loaders, once for all runs that read them."""
    text = repr([chooses(cfg), *map(cfg.get, LOADERS)])
    if text not in _CHECKED:
        check_splits(cfg, LOADERS)
        _CHECKED.add(text)


def _seeded(cfg: Config, seed: int) -> Config:
    cfg.merge_from_dict({'randomness.seed': seed})
    seed_subsets(cfg, seed)
    return cfg
