"""What runs measured, as tables of pandas."""

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from .board import Board
from .jobs import FINAL, SEARCH, Pair

RUN_COLUMNS = (
    'dataset',
    'method',
    'stage',
    'axis',
    'value',
    'seed',
    'point',
    'learning_rate',
    'weight_decay',
    'val',
    'test',
    'tuned',
    'tuned_bytes',
    'total',
    'epochs',
    'epoch_seconds',
    'peak_memory',
    'memory_of',
    'device',
    'seconds',
    'error',
    'digest',
)
KEYS = ['dataset', 'method', 'axis', 'value']


def make_runs(pairs: Sequence[Pair], board: Board) -> pd.DataFrame:
    """Return each ended run once, searches included.

    The point of a run is what was tried; its rates, which may be scaled by
    the batch, are those of a run that ended well.

    Args:
        pairs: Methods on data sets.
        board: What the study says.
    """
    runs = [run for pair in pairs for run in _runs(pair, board)]
    # As float, which pandas takes beside what is missing, 1 is 1.0.
    return pd.DataFrame(runs, columns=RUN_COLUMNS, dtype=object)


def make_rows(
    runs: pd.DataFrame, pairs: Sequence[Pair], board: Board
) -> pd.DataFrame:
    """Join final runs over seeds; what was never tested is left out.

    Returns:
        A row for each method, or each value of an axis, with mean and sample
        deviation. ``val`` and ``test`` are their texts.
    """
    final = runs[(runs.stage == FINAL) & runs.test.notna()]
    groups = final.groupby(KEYS, sort=False)
    rows = groups.agg(
        val_mean=('val', _mean),
        val_std=('val', _deviation),
        test_mean=('test', _mean),
        test_std=('test', _deviation),
        seeds=('seed', 'size'),
        learning_rate=('learning_rate', 'first'),
        weight_decay=('weight_decay', 'first'),
        tuned=('tuned', 'first'),
        tuned_bytes=('tuned_bytes', 'first'),
        epochs=('epochs', 'first'),
        epoch_seconds=('epoch_seconds', statistics.median),
        peak_memory=('peak_memory', 'max'),
        memory_of=('memory_of', 'first'),
        device=('device', 'first'),
    ).reset_index()
    ends = {
        (pair.dataset.name, pair.method.name): _is_at_end(pair, board)
        for pair in pairs
    }
    names = zip(rows.dataset, rows.method, strict=True)
    rows.insert(10, 'is_at_end', [ends[name] for name in names])
    asked = pairs[0].plan.seeds
    for key in ('val', 'test'):
        figures = rows[[f'{key}_mean', f'{key}_std', 'seeds']]
        rows[key] = [
            _shown(mean, deviation, seeds, asked)
            for mean, deviation, seeds in figures.to_numpy()
        ]
    rows['is_whole'] = rows.seeds == asked
    return rows


def _mean(values: pd.Series) -> float:
    # Exact: pandas' own is a last bit off, which shows 88.15 as 88.1.
    found = values.dropna()
    return statistics.mean(found) if len(found) else math.nan


def _deviation(values: pd.Series) -> float:
    found = values.dropna()
    return statistics.stdev(found) if len(found) > 1 else math.nan


def _shown(mean: float, deviation: float, seeds: float, asked: int) -> str:
    """Return mean ± deviation, and the number of seeds if some lack.

    A dash where nothing was measured, as on validation images that were
    trained on.
    """
    if math.isnan(mean):
        return '-'
    text = f'{mean:.1f}'
    if not math.isnan(deviation):
        text += f' ± {deviation:.1f}'
    if seeds < asked:
        text += f' ({seeds:.0f} of {asked} seeds)'
    return text


def _is_at_end(pair: Pair, board: Board) -> bool:
    """Whether the lowest or highest rate won: a better one may lie beyond."""
    point = pair.chosen(board)
    slots = pair.searcher.search_slots(board)
    rates = {
        one.point.learning_rate
        for one in pair.searcher.tried(board)
        if one.slot in slots and one.point.learning_rate is not None
    }
    ends = (min(rates), max(rates)) if len(rates) > 1 else ()
    return point is not None and point.learning_rate in ends


def _runs(pair: Pair, board: Board) -> Iterable[dict[str, Any]]:
    names = dict(dataset=pair.dataset.name, method=pair.method.name)
    slots = pair.search_slots(board)
    found = [
        (entry, dict(stage=SEARCH, axis='', value='', seed=0))
        for entry in board.of_search(pair.search_key)
        if entry.slot in slots
    ]
    point = pair.chosen(board)
    if point is not None:
        found += [
            (
                board.get(pair.final(index, point, seed).key),
                dict(
                    stage=FINAL,
                    axis=variant.axis,
                    value=variant.value,
                    seed=seed,
                ),
            )
            for index, variant in enumerate(pair.variants)
            for seed in range(pair.plan.seeds)
        ]
    for entry, where in found:
        if entry.is_finished:
            shown = ', '.join(
                f'{key} {value:g}'
                for key, value in entry.point.items()
                if value is not None
            )
            shown = shown or "config's own rates"
            yield {**entry.result, **names, **where, 'point': shown}
