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
        results: What each seed measured.
        seeds: How many were asked for.
    """

    dataset: str
    method: str
    variant: Variant
    seeds: int
    results: list[dict[str, Any]] = field(default_factory=list)

    def values(self, key: str) -> list[float]:
        """Return one figure of each seed."""
        return [result[key] for result in self.results]

    def mean(self, key: str) -> float:
        """Return the mean over seeds."""
        return statistics.mean(self.values(key))

    def deviation(self, key: str) -> float | None:
        """Return the standard deviation (n - 1); None for one seed."""
        values = self.values(key)
        return statistics.stdev(values) if len(values) > 1 else None

    def shown(self, key: str) -> str:
        """Return mean ± deviation, and the number of seeds if some lack."""
        text = f'{self.mean(key):.1f}'
        deviation = self.deviation(key)
        if deviation is not None:
            text += f' ± {deviation:.1f}'
        if len(self.results) != self.seeds:
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
    for index, row in enumerate(rows):
        for seed in range(pair.plan.seeds):
            result = board.get(pair.final(index, point, seed).key).result
            if result.get('test') is not None:
                row.results.append(result)
    return [row for row in rows if row.results]
