"""What runs measured, as tables of pandas."""

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from .pairs import Pair, Variant
from .search import shown
from .study import FINAL, Series, Studies

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
    'is_at_end',
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


def make_runs(pairs: Sequence[Pair], studies: Studies) -> pd.DataFrame:
    """Return each ended run once, searches included.

    The point of a run is what was tried; its rates, which may be scaled by
    the batch, are those of a run that ended well.

    Args:
        pairs: Methods on data sets.
        studies: What was run.
    """
    runs: list[dict[str, Any]] = []
    for pair in pairs:
        if pair.search is not None:
            runs += _ended(pair.search, Variant(), False, studies)
        is_at_end = pair.is_at_end(studies)
        finals = pair.finals(studies)
        for variant, series in zip(pair.variants, finals, strict=False):
            runs += _ended(series, variant, is_at_end, studies)
    # As float, which pandas takes beside what is missing, 1 is 1.0.
    return pd.DataFrame(runs, columns=RUN_COLUMNS, dtype=object)


def make_rows(runs: pd.DataFrame, asked: int) -> pd.DataFrame:
    """Join final runs over seeds; what was never tested is left out.

    Args:
        runs: As ``make_runs`` returns them.
        asked: How many seeds there should be.

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
        is_at_end=('is_at_end', 'first'),
        tuned=('tuned', 'first'),
        tuned_bytes=('tuned_bytes', 'first'),
        epochs=('epochs', 'first'),
        epoch_seconds=('epoch_seconds', statistics.median),
        peak_memory=('peak_memory', 'max'),
        memory_of=('memory_of', 'first'),
        device=('device', 'first'),
    ).reset_index()
    for key in ('val', 'test'):
        figures = rows[[f'{key}_mean', f'{key}_std', 'seeds']]
        rows[key] = [
            _cell(mean, deviation, seeds, asked)
            for mean, deviation, seeds in figures.to_numpy()
        ]
    rows['is_complete'] = rows.seeds == asked
    return rows


def _ended(
    series: Series, variant: Variant, is_at_end: bool, studies: Studies
) -> Iterator[dict[str, Any]]:
    for run in studies.runs(series).values():
        if run.result:
            point = {**series.point, **run.point}
            yield {
                **run.result,
                'dataset': series.dataset,
                'method': series.method,
                'stage': series.stage,
                'axis': variant.axis,
                'value': variant.value,
                'is_at_end': is_at_end,
                'seed': point.pop('seed', 0),
                'point': shown(point),
            }


def _mean(values: pd.Series) -> float:
    # Exact: pandas' own is a last bit off, which shows 88.15 as 88.1.
    found = values.dropna()
    return statistics.mean(found) if len(found) else math.nan


def _deviation(values: pd.Series) -> float:
    found = values.dropna()
    return statistics.stdev(found) if len(found) > 1 else math.nan


def _cell(mean: float, deviation: float, seeds: float, asked: int) -> str:
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
