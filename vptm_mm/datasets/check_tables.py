"""Prints what a check of data sets found, for a terminal or a log file."""

from collections import defaultdict
from typing import Any

from rich.console import Console
from rich.table import Table

from .dataset_check import NOTE, PROBLEM


def print_report(report: dict[str, Any], console: Console, show: int) -> None:
    """Print tables of splits and findings, then examples.

    Args:
        report: From ``make_report``.
        console: Where to.
        show: Examples of each kind, at most.
    """
    console.print(_tabulate_splits(report['splits']))
    kinds: dict[tuple[str, str], list[dict]] = defaultdict(list)
    for level in (PROBLEM, NOTE):
        for found in report['findings']:
            if found['level'] == level:
                kinds[level, found['kind']].append(found)
    if not kinds:
        console.print('Nothing was found.')
        return
    table = Table('level', 'what', 'found', 'splits')
    for (level, kind), found in kinds.items():
        splits = {i['split']: 0 for one in found for i in one['images']}
        table.add_row(level, kind, f'{len(found):,}', ', '.join(splits))
    console.print(table)
    for (level, kind), found in kinds.items():
        _print_line(console, f'{level}: {kind}')
        for one in found[:show]:
            _print_example(console, one, show)
        if len(found) > show:
            _print_line(console, f'  ... and {len(found) - show:,} more')


def _tabulate_splits(splits: dict[str, dict]) -> Table:
    table = Table('split', 'images', 'classes', 'smallest', 'largest', 'empty')
    table.add_column('width')
    table.add_column('height')
    for name, split in splits.items():
        counts = split['classes']
        ranked = sorted(counts, key=lambda one: counts[one])
        table.add_row(
            name,
            f'{split["images"]:,}',
            f'{len(counts):,}',
            *(
                f'{_printable(one)}: {counts[one]:,}'
                for one in (ranked[:1] + ranked[-1:] if ranked else ())
            ),
            *([] if ranked else ['', '']),
            f'{sum(not count for count in counts.values()):,}',
            _join(split['widths']),
            _join(split['heights']),
        )
    table.caption = 'width and height: smallest, median, largest (px)'
    return table


def _join(sides: list[int] | None) -> str:
    return '' if sides is None else ', '.join(f'{side:,}' for side in sides)


def _print_example(console: Console, found: dict, show: int) -> None:
    images = found['images']
    if len(images) == 1:
        text = f': {found["text"]}' if found['text'] else ''
        where = f'{images[0]["split"]} {_printable(images[0]["image"])}'
        _print_line(console, f'  {where}{_printable(text)}')
        return
    _print_line(console, f'  {_printable(found["text"])}')
    for one in images[:show]:
        named = f', class {_printable(one["class"])}' if one['class'] else ''
        _print_line(
            console, f'    {one["split"]} {_printable(one["image"])}{named}'
        )
    if len(images) > show:
        _print_line(console, f'    ... and {len(images) - show:,} more')


def _print_line(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _printable(text: str) -> str:
    """Escape what would move the cursor, or is no text."""
    return text if text.isprintable() else ascii(text)
