"""The final runs of a method, joined over seeds."""

import statistics
from dataclasses import dataclass, field
from typing import Any

from .board import Board
from .jobs import Pair, Variant


@dataclass
class Row:
    """The final runs of one method, or of one value of an axis.

    Args:
        dataset: Name of the data set.
        method: Name of the method.
        variant: Axis and value, or the method as it is.
        seeds: How many were asked for.
        results: What each seed measured.
        is_at_end: Whether its learning rate is the lowest or the highest of
            those that were searched, so that a better one may lie beyond.
    """

    dataset: str
    method: str
    variant: Variant
    seeds: int
    results: list[dict[str, Any]] = field(default_factory=list)
    is_at_end: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether each seed was measured."""
        return len(self.results) == self.seeds

    def values(self, key: str) -> list[float]:
        """Return one figure of each seed; none if none was measured."""
        values = (result[key] for result in self.results)
        return [value for value in values if value is not None]

    def mean(self, key: str) -> float:
        """Return the mean over seeds."""
        return statistics.mean(self.values(key))

    def deviation(self, key: str) -> float | None:
        """Return the standard deviation (n - 1); None for one seed."""
        values = self.values(key)
        return statistics.stdev(values) if len(values) > 1 else None

    def shown(self, key: str) -> str:
        """Return mean ± deviation, and the number of seeds if some lack.

        A dash where nothing was measured, as on validation images that were
        trained on.
        """
        if not self.values(key):
            return '-'
        text = f'{self.mean(key):.1f}'
        deviation = self.deviation(key)
        if deviation is not None:
            text += f' ± {deviation:.1f}'
        if not self.is_whole:
            text += f' ({len(self.results)} of {self.seeds} seeds)'
        return text


def make_rows(pair: Pair, board: Board) -> list[Row]:
    """Return what the final runs measured; variants without any are left out.

    Args:
        pair: A method on a data set.
        board: What the study says.
    """
    rows = [
        Row(pair.dataset.name, pair.method.name, variant, pair.plan.seeds)
        for variant in pair.variants
    ]
    point = pair.chosen(board)
    if point is None:
        return []
    slots = pair.searcher.search_slots(board)
    rates = [
        one.point.learning_rate
        for one in pair.searcher.tried(board)
        if one.slot in slots and one.point.learning_rate is not None
    ]
    ends = (min(rates), max(rates)) if len(set(rates)) > 1 else ()
    for index, row in enumerate(rows):
        row.is_at_end = point.learning_rate in ends
        for seed in range(pair.plan.seeds):
            result = board.get(pair.final(index, point, seed).key).result
            if result.get('test') is not None:
                row.results.append(result)
    return [row for row in rows if row.results]
