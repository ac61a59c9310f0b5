"""What was measured: CSV, a Markdown table, plots."""

import csv
import io
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..checkpoints import write_whole
from . import plots
from .board import Board
from .jobs import FINAL, SEARCH, Pair
from .plan import Axis, Plan
from .rows import Row, make_rows

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


AT_END = (
    '(end): the best of the rates that were searched is the lowest or the '
    'highest; a better one may lie beyond.'
)


def write_report(
    pairs: Sequence[Pair], board: Board, folder: Path
) -> list[Path]:
    """Write all files that the measured runs allow.

    Args:
        pairs: Methods on data sets.
        board: What the study says.
        folder: Where they are written.

    Returns:
        Without axes ``runs.csv``, ``results.csv``, ``results.md`` and two
        plots for each data set. With axes ``axes_runs.csv`` and, for each of
        them, a CSV, a table in Markdown and a plot for each data set.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row for pair in pairs for row in make_rows(pair, board)]
    plan = pairs[0].plan
    runs = folder / ('axes_runs.csv' if plan.axes else 'runs.csv')
    written = [_write_csv(runs, _runs(pairs, board), RUN_COLUMNS)]
    if plan.axes:
        for axis in plan.axes:
            along = [row for row in rows if row.variant.axis == axis.name]
            failures = list(_failures(pairs, board, axis.name))
            written.append(
                _write_csv(folder / f'axis_{axis.name}.csv', map(_flat, along))
            )
            path = folder / f'axis_{axis.name}.md'
            text = make_axis_markdown(axis, along, failures)
            write_whole(path, text.encode())
            written.append(path)
            for dataset in dict.fromkeys(row.dataset for row in along):
                here = [row for row in along if row.dataset == dataset]
                written.append(plots.draw_axis(axis, here, dataset, folder))
        return written
    written.append(_write_csv(folder / 'results.csv', map(_flat, rows)))
    path = folder / 'results.md'
    write_whole(path, make_markdown(pairs, board).encode())
    written.append(path)
    for dataset in dict.fromkeys(row.dataset for row in rows):
        here = [row for row in rows if row.dataset == dataset]
        written.append(plots.draw_parameters(here, dataset, folder))
        written.append(plots.draw_bars(here, dataset, folder))
    return written


def make_markdown(pairs: Sequence[Pair], board: Board) -> str:
    """Return a table for each data set, and the failures below.

    Of several data sets an overview stands before them.

    Args:
        pairs: Methods on data sets.
        board: What the study says.
    """
    plan = pairs[0].plan
    lines = [
        f'# {plan.name}',
        '',
        f'Top-1 accuracy in %, mean ± standard deviation over {plan.seeds} '
        f'seed{"s" if plan.seeds > 1 else ""}. {_searched(plan)}Each final '
        f'run tests its best checkpoint by validation once{_unvalidated(plan)}'
        '.',
    ]
    measured = {
        dataset.name: [
            row
            for pair in pairs
            if pair.dataset == dataset
            for row in make_rows(pair, board)
        ]
        for dataset in plan.datasets
    }
    if len(measured) > 1:
        lines += ['', '## All data sets', '', *_overview(plan, measured)]
    for name, rows in measured.items():
        lines += ['', f'## {name}', '']
        if not rows:
            lines.append('Nothing was measured.')
            continue
        results = [result for row in rows for result in row.results]
        devices, memories = (
            ', '.join(sorted({result[key] for result in results}))
            for key in ('device', 'memory_of')
        )
        lines += [
            f'Measured on {devices}; memory: {memories}.',
            '',
            '| method | tuned parameters | size (kB) | learning rate '
            '| weight decay | epochs | s / epoch | peak memory (MB) '
            '| validation | test |',
            '|---' * 10 + '|',
        ]
        lines += [_markdown_row(row) for row in rows]
        if any(row.is_at_end for row in rows):
            lines += ['', AT_END]
    lines += _failed(list(_failures(pairs, board)))
    return '\n'.join(lines) + '\n'


def make_axis_markdown(
    axis: Axis, rows: Sequence[Row], failures: Sequence[str] = ()
) -> str:
    """Return a table for each data set: a method a line, a value a column.

    Args:
        axis: The axis.
        rows: One row for each method and value; one without a value, of a
            method without the axis, counts for all of them.
        failures: A line for each run that failed.
    """
    values = list(axis.values)
    lines = [
        f'# {axis.name}',
        '',
        'Test top-1 in %, mean ± standard deviation over seeds. A learning '
        'rate that was searched is the same along the axis. A method without '
        'the axis has the same figure for all values.',
    ]
    for dataset in dict.fromkeys(row.dataset for row in rows):
        lines += [
            '',
            f'## {dataset}',
            '',
            f'| method | learning rate | {" | ".join(values)} |',
            '|---' * (2 + len(values)) + '|',
        ]
        here = [row for row in rows if row.dataset == dataset]
        for method in dict.fromkeys(row.method for row in here):
            own = {r.variant.value: r for r in here if r.method == method}
            rates = {row.results[0]['learning_rate'] for row in own.values()}
            rate = f'{rates.pop():g}' if len(rates) == 1 else 'varies'
            rate += ' (end)' * any(row.is_at_end for row in own.values())
            found = (own.get(value) or own.get('') for value in values)
            cells = [row.shown('test') if row else '-' for row in found]
            lines.append(f'| {method} | {rate} | {" | ".join(cells)} |')
    if any(row.is_at_end for row in rows):
        lines += ['', AT_END]
    lines += _failed(failures)
    return '\n'.join(lines) + '\n'


def _overview(plan: Plan, measured: dict[str, list[Row]]) -> Iterable[str]:
    """Return the lines of a table: a method a line, a data set a column.

    Behind them are the means over each group and over all of them, of a
    method that was measured on each with all seeds.
    """
    groups: dict[str, list[str]] = {}
    for dataset in plan.datasets:
        if dataset.group:
            groups.setdefault(dataset.group, []).append(dataset.name)
    means = {
        f'mean of {len(names)}, {group}': names
        for group, names in groups.items()
        if len(names) < len(measured)
    }
    means[f'mean of {len(measured)}'] = list(measured)
    yield f'| method | {" | ".join([*measured, *means])} |'
    yield '|---' * (1 + len(measured) + len(means)) + '|'
    for method in plan.methods:
        found = {
            name: row
            for name, rows in measured.items()
            for row in rows
            if row.method == method.name
        }
        cells = [
            found[name].shown('test') if name in found else '-'
            for name in measured
        ]
        for names in means.values():
            values = [
                found[name].mean('test')
                for name in names
                if name in found and found[name].is_whole
            ]
            is_whole = len(values) == len(names)
            cells.append(f'{statistics.mean(values):.1f}' if is_whole else '-')
        yield f'| {method.name} | {" | ".join(cells)} |'


def _searched(plan: Plan) -> str:
    """Say what was chosen on validation, and of which methods."""
    chosen = {
        what: [
            method.name
            for method in plan.methods
            if method.search.is_needed and getattr(method.search, key)
        ]
        for what, key in (
            ('Learning rates', 'learning_rate'),
            ('Weight decays', 'weight_decay'),
        )
    }
    text = ''
    for what, methods in chosen.items():
        if methods:
            of = (
                ''
                if len(methods) == len(plan.methods)
                else f' of {", ".join(methods)}'
            )
            text += (
                f'{what}{of} were chosen on the validation split'
                f'{_search_on(plan)} with seed 0. '
            )
    return text


def _search_on(plan: Plan) -> str:
    name = plan.search_on
    return f' of {name}, for all data sets,' if name else ''


def _unvalidated(plan: Plan) -> str:
    """Name the data sets on which final runs have no validation."""
    names = [dataset.name for dataset in plan.datasets if dataset.final]
    if not names:
        return ''
    return f'; on {", ".join(names)}, without validation, its last one'


def _markdown_row(row: Row) -> str:
    first = row.results[0]
    decay = first['weight_decay']
    cells = (
        row.method,
        f'{first["tuned"]:,}',
        f'{first["tuned_bytes"] / 1e3:,.1f}',
        f'{first["learning_rate"]:g}{" (end)" * row.is_at_end}',
        '-' if decay is None else f'{decay:g}',
        str(first['epochs']),
        f'{statistics.median(row.values("epoch_seconds")):.3g}',
        f'{max(row.values("peak_memory")) / 1e6:,.0f}',
        row.shown('val'),
        row.shown('test'),
    )
    return f'| {" | ".join(cells)} |'


def _failed(failures: Sequence[str]) -> list[str]:
    return ['', '## Failed runs', '', *failures] if failures else []


def _failures(
    pairs: Sequence[Pair], board: Board, axis: str = ''
) -> Iterable[str]:
    """Say what failed, of runs along another axis nothing."""
    for run in _runs(pairs, board):
        if run['error'] and run['axis'] in ('', axis):
            where = f'{run["dataset"]}, {run["method"]}'
            if run['value']:
                where += f', {run["axis"]} {run["value"]}'
            error = ' '.join(str(run['error']).split())
            yield (
                f'- {where}, {run["stage"]}, {run["point"]}, seed '
                f'{run["seed"]}: {error}'
            )


def _runs(pairs: Sequence[Pair], board: Board) -> Iterable[dict[str, Any]]:
    """Return each ended run once, searches included."""
    for pair in pairs:
        names = dict(dataset=pair.dataset.name, method=pair.method.name)
        slots = pair.search_slots(board)
        for entry in board.of_search(pair.search_key):
            if entry.is_finished and entry.slot in slots:
                yield _run(entry.result, entry.point, names, SEARCH, 0)
        point = pair.chosen(board)
        if point is None:
            continue
        for index, variant in enumerate(pair.variants):
            for seed in range(pair.plan.seeds):
                entry = board.get(pair.final(index, point, seed).key)
                if entry.is_finished:
                    where = dict(axis=variant.axis, value=variant.value)
                    yield _run(
                        entry.result,
                        entry.point,
                        {**names, **where},
                        FINAL,
                        seed,
                    )


def _run(
    result: dict[str, Any],
    point: dict[str, Any],
    names: dict[str, Any],
    stage: str,
    seed: int,
) -> dict[str, Any]:
    """Return a line of ``runs.csv``.

    Its point is what was tried; its rates, which may be scaled by the batch,
    are those of a run that ended well.
    """
    shown = ', '.join(f'{k} {v:g}' for k, v in point.items() if v is not None)
    return {
        **dict.fromkeys(RUN_COLUMNS, ''),
        **result,
        **names,
        'stage': stage,
        'seed': seed,
        'point': shown or "config's own rates",
    }


def _flat(row: Row) -> dict[str, Any]:
    """Return a line of ``results.csv`` or of an axis."""
    first = row.results[0]
    line: dict[str, Any] = dict(dataset=row.dataset, method=row.method)
    if row.variant.axis:
        line.update(axis=row.variant.axis, value=row.variant.value)
    for key in ('val', 'test'):
        has_any = bool(row.values(key))
        line[f'{key}_mean'] = round(row.mean(key), 4) if has_any else ''
        deviation = row.deviation(key)
        line[f'{key}_std'] = '' if deviation is None else round(deviation, 4)
    return dict(
        line,
        seeds=len(row.results),
        learning_rate=first['learning_rate'],
        is_at_end=row.is_at_end,
        weight_decay=first['weight_decay'],
        tuned=first['tuned'],
        tuned_bytes=first['tuned_bytes'],
        epochs=first['epochs'],
        epoch_seconds=statistics.median(row.values('epoch_seconds')),
        peak_memory=max(row.values('peak_memory')),
        memory_of=first['memory_of'],
        device=first['device'],
    )


def _write_csv(
    path: Path,
    lines: Iterable[dict[str, Any]],
    columns: Sequence[str] | None = None,
) -> Path:
    lines = list(lines)
    columns = columns or list(*lines[:1])
    text = io.StringIO(newline='')
    writer = csv.DictWriter(text, columns, extrasaction='ignore')
    writer.writeheader()
    writer.writerows(lines)
    write_whole(path, text.getvalue().encode())
    return path
