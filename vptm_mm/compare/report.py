"""What was measured: CSV, a Markdown table, plots."""

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..weights import write_whole
from . import plots
from .pairs import Pair
from .plan import Axis, Plan, slug
from .study import Studies
from .tables import make_rows, make_runs

COLUMNS = (
    'method',
    'trainable parameters',
    'size (kB)',
    'learning rate',
    'weight decay',
    'epochs',
    's / epoch',
    'peak memory (MB)',
    'validation',
    'test',
)
AT_END = (
    '(end): the best of the rates that were searched is the lowest or the '
    'highest; a better one may lie beyond.'
)


def write_report(
    pairs: Sequence[Pair], studies: Studies, folder: Path
) -> list[Path]:
    """Write all files that the measured runs allow.

    Args:
        pairs: Methods on data sets.
        studies: What was run.
        folder: Where they are written.

    Returns:
        Without axes ``runs.csv``, ``results.csv``, ``results.md`` and a plot
        for each data set. With axes ``axes_runs.csv`` and, for each of them, a
        CSV, a table in Markdown and a plot for each data set.
    """
    folder.mkdir(parents=True, exist_ok=True)
    runs = make_runs(pairs, studies)
    plan = pairs[0].plan
    rows = make_rows(runs, plan.seeds)
    name = 'axes_runs.csv' if plan.axes else 'runs.csv'
    written = [_write(folder / name, _csv(runs))]
    for axis in plan.axes:
        along = rows[rows.axis == axis.name]
        stem = f'axis_{slug(axis.name)}'
        text = make_axis_markdown(axis, along, _failures(runs, axis.name))
        written += [
            _write(folder / f'{stem}.csv', _rows_csv(along)),
            _write(folder / f'{stem}.md', text),
        ]
        for dataset, here in along.groupby('dataset', sort=False):
            written.append(plots.plot_axis(axis, here, dataset, folder))
    if plan.axes:
        return written
    plain = rows.drop(columns=['axis', 'value'])
    written += [
        _write(folder / 'results.csv', _rows_csv(plain)),
        _write(folder / 'results.md', make_markdown(plan, runs, rows)),
    ]
    for dataset, here in rows.groupby('dataset', sort=False):
        written.append(plots.plot_parameters(here, dataset, folder))
    return written


def make_markdown(plan: Plan, runs: pd.DataFrame, rows: pd.DataFrame) -> str:
    """Return a table for each data set, and the failures below.

    Of several data sets an overview stands before them.

    Args:
        plan: The plan.
        runs: Each run, as ``make_runs`` returns them.
        rows: Each method, as ``make_rows`` returns them.
    """
    lines = [
        f'# {plan.name}',
        '',
        f'Top-1 accuracy in %, mean ± standard deviation over {plan.seeds} '
        f'seed{"s" if plan.seeds > 1 else ""}. {_searched(plan)}Each final '
        'run tests its best checkpoint by validation once; without validation '
        '(-), its last one.',
    ]
    if len(plan.datasets) > 1:
        lines += ['', '## All data sets', '', *_overview(plan, rows)]
    for dataset in plan.datasets:
        here = rows[rows.dataset == dataset.name]
        lines += ['', f'## {dataset.name}', '']
        if here.empty:
            lines.append('Nothing was measured.')
            continue
        tested = runs[(runs.dataset == dataset.name) & runs.test.notna()]
        devices, memories = (
            ', '.join(sorted(set(tested[key])))
            for key in ('device', 'memory_of')
        )
        lines += [
            f'Measured on {devices}; memory: {memories}.',
            '',
            *_header(COLUMNS),
        ]
        lines += [_line(_cells(row)) for row in here.itertuples()]
        if here.is_at_end.any():
            lines += ['', AT_END]
    lines += _failures(runs)
    return '\n'.join(lines) + '\n'


def make_axis_markdown(
    axis: Axis, rows: pd.DataFrame, failures: Sequence[str] = ()
) -> str:
    """Return a table for each data set: a method a line, a value a column.

    Args:
        axis: The axis.
        rows: One row for each method and value; one without a value, of a
            method without the axis, counts for all of them.
        failures: Lines on what failed.
    """
    lines = [
        f'# {axis.name}',
        '',
        'Test top-1 in %, mean ± standard deviation over seeds. A learning '
        'rate that was searched is the same along the axis. A method without '
        'the axis has the same figure for all values.',
    ]
    for dataset, here in rows.groupby('dataset', sort=False):
        columns = ['method', 'learning rate', *axis.values]
        lines += ['', f'## {dataset}', '', *_header(columns)]
        for method, own in here.groupby('method', sort=False):
            rates = set(own.learning_rate)
            rate = f'{rates.pop():g}' if len(rates) == 1 else 'varies'
            rate += ' (end)' * bool(own.is_at_end.any())
            found = dict(zip(own.value, own.test, strict=True))
            same = found.get('', '-')
            cells = [str(found.get(value, same)) for value in axis.values]
            lines.append(_line([method, rate, *cells]))
    if rows.is_at_end.any():
        lines += ['', AT_END]
    lines += failures
    return '\n'.join(lines) + '\n'


def _overview(plan: Plan, rows: pd.DataFrame) -> Iterator[str]:
    """Yield the lines of a table: a method a line, a data set a column.

    Behind them are the means over each group and over all of them, of a
    method that was measured on each with all seeds.
    """
    measured = [dataset.name for dataset in plan.datasets]
    groups: dict[str, list[str]] = {}
    for dataset in plan.datasets:
        if dataset.group:
            groups.setdefault(dataset.group, []).append(dataset.name)
    means = {
        f'mean of {len(names)}, {group}': names
        for group, names in groups.items()
        if len(names) < len(measured)
    }
    means[f'mean of {len(measured)}'] = measured
    yield from _header(['method', *measured, *means])
    for method in plan.methods:
        own = rows[rows.method == method.name].set_index('dataset')
        cells = list(own.test.reindex(measured, fill_value='-'))
        whole = own.test_mean[own.is_complete]
        for names in means.values():
            is_complete = set(names) <= set(whole.index)
            cells.append(
                f'{statistics.mean(whole[names]):.1f}' if is_complete else '-'
            )
        yield _line([method.name, *cells])


def _searched(plan: Plan) -> str:
    """Say whose rates were chosen, and on which images."""
    methods = [one.name for one in plan.methods if one.search.is_needed]
    if not methods:
        return ''
    on = f' of {plan.search_on}, for all data sets,' if plan.search_on else ''
    return (
        f'Rates of {", ".join(methods)} were chosen on the validation split'
        f'{on} with seed 0. '
    )


def _cells(row: Any) -> list[str]:
    decay = row.weight_decay
    return [
        row.method,
        f'{row.tuned:,}',
        f'{row.tuned_bytes / 1e3:,.1f}',
        f'{row.learning_rate:g}{" (end)" * row.is_at_end}',
        '-' if pd.isna(decay) else f'{decay:g}',
        str(row.epochs),
        f'{row.epoch_seconds:.3g}',
        f'{row.peak_memory / 1e6:,.0f}',
        row.val,
        row.test,
    ]


def _header(columns: Sequence[str]) -> list[str]:
    return [_line(columns), '|---' * len(columns) + '|']


def _line(cells: Sequence[str]) -> str:
    # A name may hold what ends a cell, or a line.
    texts = [' '.join(cell.replace('|', r'\|').split()) for cell in cells]
    return f'| {" | ".join(texts)} |'


def _failures(runs: pd.DataFrame, axis: str = '') -> list[str]:
    """Return lines on what failed, of runs along another axis none."""
    failed = runs[runs.error.notna() & runs.axis.isin(['', axis])]
    head = [] if failed.empty else ['', '## Failed runs', '']
    return head + [
        f'- {run.dataset}, {run.method}'
        + (f', {run.axis} {run.value}' if run.value else '')
        + f', {run.stage}, {run.point}, seed {run.seed}: '
        + ' '.join(str(run.error).split())
        for run in failed.itertuples()
    ]


def _rows_csv(rows: pd.DataFrame) -> str:
    texts = ['val', 'test', 'is_complete']
    rounded = {f'{key}_{of}': 4 for key in texts for of in ('mean', 'std')}
    return _csv(rows.drop(columns=texts).round(rounded))


def _csv(table: pd.DataFrame) -> str:
    return table.to_csv(index=False, lineterminator='\r\n')


def _write(path: Path, text: str) -> Path:
    write_whole(path, text.encode())
    return path
