"""Files of predictions: a table, CSV, JSON, JSON lines, Parquet.

A row is a dict of ``image``, ``task`` and ``top``, the likeliest classes with
their confidences; or of ``image`` and ``error``.
"""

import csv
import io
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

from ..weights import explained, remove_parts, whole_path, write_whole

RESUMABLE = ('jsonl', 'parquet')
FORMATS = ('table', 'json', 'csv', *RESUMABLE)
COLUMNS = ('image', 'task', 'rank', 'class', 'confidence')
# A part of a Parquet folder is written after so many rows or seconds.
PART_ROWS = 100_000
PART_SECONDS = 60.0
SETTINGS = b'vptm predict'  # in the metadata of a part


def open_predictions(
    kind: str, path: Path | None, settings: dict[str, Any]
) -> Any:
    """Open a file of predictions, or one that is to be resumed.

    It has ``written()``, which yields a row of each image that is there and
    drops parts of rows; ``write(rows)`` for all rows of an image; and
    ``close()`` after the last one.

    Args:
        kind: One of ``FORMATS``.
        path: The file, or for Parquet the folder; None for stdout.
        settings: What the rows depend on: ``tasks``, a dict by name, and
            more. JSON lines and Parquet go on only with the same.

    Raises:
        FileExistsError: If there is something else.
        ValueError: If it was begun with other settings, is not a file that
            can be read again, or Parquet should go to stdout.
    """
    if kind == 'parquet':
        if path is None:
            raise ValueError('Parquet is a folder of files: give --out.')
        return ParquetFolder(path, settings)
    if kind == 'jsonl':
        if path and path.exists() and not path.is_file():
            raise ValueError(
                f'{path} is not a file; give --format jsonl --out - and lead '
                'stdout there.'
            )
        return JSONLines(path, settings) if path else JSONLinesOnStdout()
    return WholeFile(kind, path)


def as_text(name: str) -> str:
    """Escape what is not text in the name of a file."""
    return name.encode(errors='backslashreplace').decode()


def require_same(
    path: Path, old: dict[str, Any], settings: dict[str, Any]
) -> None:
    """Compare with the settings that a file was begun with.

    Raises:
        ValueError: If they differ.
    """
    for key in settings:
        if old.get(key) != settings[key]:
            raise ValueError(
                f'{path} was begun with {key}={old.get(key)}, and this '
                f'command has {key}={settings[key]}; give another --out, or '
                'remove it.'
            )


def written_by_another(path: Path) -> FileExistsError:
    """Return the error of the later of two commands on one file."""
    return FileExistsError(
        f'{path} is written by another command, too; give another --out, or '
        'start this one again after it.'
    )


class WholeFile:
    """A table, CSV or JSON, which is written when all rows are there.

    Args:
        kind: ``'table'``, ``'csv'`` or ``'json'``.
        path: The file; None for stdout.
    """

    def __init__(self, kind: str, path: Path | None) -> None:
        self.kind = kind
        self.path = path
        self.rows: list[dict] = []
        self.errors: dict[str, str] = {}

    def written(self) -> Iterator[dict]:
        return iter(())

    def write(self, rows: list[dict]) -> None:
        for row in rows:
            if 'error' in row:
                self.errors[row['image']] = row['error']
            else:
                self.rows.append(row)

    def close(self) -> None:
        if self.path is None:
            self._write_to(sys.stdout)
            return
        text = io.StringIO()
        self._write_to(text)
        # What is not text in the name of a file is escaped.
        content = text.getvalue().encode(errors='backslashreplace')
        write_whole(self.path, content)

    def _write_to(self, out: TextIO) -> None:
        if self.kind == 'json':
            content = dict(predictions=self.rows, errors=self.errors)
            out.write(f'{to_json(content, out, indent=2)}\n')
            return
        flat = [values for row in self.rows for values in flatten(row)]
        if self.kind == 'csv':
            writer = csv.writer(out, lineterminator='\n')
            writer.writerows([COLUMNS, *flat])
            return
        table = Table(*COLUMNS)
        for image, task, rank, name, share in flat:
            table.add_row(image, task, str(rank), name, f'{share:.1%}')
        width = None if out.isatty() else 160
        Console(file=out, width=width).print(table, markup=False)


def flatten(row: dict) -> list[tuple]:
    """Return a row for each of its classes, in the order of ``COLUMNS``."""
    return [
        (row['image'], row['task'], rank, top['class'], top['confidence'])
        for rank, top in enumerate(row['top'], 1)
    ]


def to_json(content: Any, out: TextIO, **options: Any) -> str:
    """Return JSON; an escape of another kind than its own would be none."""
    is_unicode = (out.encoding or 'utf-8').lower().startswith('utf')
    return json.dumps(content, ensure_ascii=not is_unicode, **options)


class JSONLinesOnStdout:
    """A line of JSON for each row, at once."""

    def written(self) -> Iterator[dict]:
        return iter(())

    def write(self, rows: list[dict]) -> None:
        with explained('stdout'):
            for row in rows:
                print(to_json(row, sys.stdout), flush=True)

    def close(self) -> None:
        pass


class JSONLines:
    """A line of JSON for each row.

    The settings are in a small file beside it, ``<name>.settings.json``.

    Args:
        path: The file.
        settings: As in ``open_predictions``.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path = path
        self.num_tasks = len(settings['tasks'])
        self.size = path.stat().st_size if path.exists() else 0
        beside = path.with_name(f'{path.name}.settings.json')
        if not path.exists() or not path.stat().st_size:
            write_whole(beside, json.dumps(settings))
        elif beside.is_file():
            require_same(path, json.loads(beside.read_text()), settings)
        else:
            raise FileExistsError(
                f'{path} is there without {beside.name}, which would say how '
                'it was begun; give another --out, or remove it.'
            )

    def written(self) -> Iterator[dict]:
        if not self.path.exists():
            return
        end = whole = count = 0
        with self.path.open('rb') as file:
            for line in file:
                end += len(line)
                if not line.endswith(b'\n'):
                    break
                row = self._read(line)
                count += 1
                if 'error' in row or count == self.num_tasks:
                    whole, count = end, 0
                    yield row
        os.truncate(self.path, whole)
        self.size = whole

    def _read(self, line: bytes) -> dict:
        try:
            row = json.loads(line)
            as_text(row['image'])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f'{self.path} holds a line that is not a prediction: '
                f'{line!r:.80}; give another --out, or remove it.'
            ) from error
        return row

    def write(self, rows: list[dict]) -> None:
        lines = [json.dumps(row, ensure_ascii=False) + '\n' for row in rows]
        with explained(self.path), self.path.open('ab') as file:
            if file.tell() != self.size:
                raise written_by_another(self.path)
            file.write(''.join(lines).encode(errors='backslashreplace'))
            self.size = file.tell()

    def close(self) -> None:
        pass


class ParquetFolder:
    """A folder of Parquet files, which readers take as one table.

    A Parquet file is readable only with its end, so that one file could not
    be resumed. The parts are written whole, with the settings in each. An
    unreadable image is a row of ``image`` and ``error``.

    Args:
        folder: The folder.
        settings: As in ``open_predictions``.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        import pyarrow

        self.folder = folder
        self.settings = settings
        folder.mkdir(exist_ok=True)
        remove_parts(folder)
        self.parts = sorted(folder.glob('part-*.parquet'))
        if strange := sorted({*folder.iterdir()} - {*self.parts}):
            raise FileExistsError(
                f'{folder} holds {strange[0].name}, which is not a part of '
                'predictions; give another --out.'
            )
        text = pyarrow.string()
        kinds = (text, text, pyarrow.int32(), text, pyarrow.float64(), text)
        self.schema = pyarrow.schema(
            zip((*COLUMNS, 'error'), kinds, strict=True),
            {SETTINGS: json.dumps(settings)},
        )
        self._start_part()

    def _start_part(self) -> None:
        self.rows: list[tuple] = []
        self.since = time.monotonic()

    def written(self) -> Iterator[dict]:
        from pyarrow import compute, parquet

        first = next(iter(self.settings['tasks']))
        is_first = (compute.field('task') == first) & (
            compute.field('rank') == 1
        )
        is_error = compute.field('error').is_valid()
        for part in self.parts:
            metadata = parquet.read_schema(part).metadata
            old = json.loads((metadata or {}).get(SETTINGS, '{}'))
            require_same(self.folder, old, self.settings)
            table = parquet.read_table(
                part, columns=['image', 'error'], filters=is_first | is_error
            )
            for row in table.to_pylist():
                image = dict(image=row['image'])
                yield row if row['error'] else image

    def write(self, rows: list[dict]) -> None:
        for row in rows:
            image = as_text(row['image'])
            if 'error' in row:
                empty = (None,) * (len(COLUMNS) - 1)
                self.rows.append((image, *empty, as_text(row['error'])))
            else:
                flat = flatten(dict(row, image=image))
                self.rows += [(*values, None) for values in flat]
        is_old = time.monotonic() - self.since >= PART_SECONDS
        if len(self.rows) >= PART_ROWS or is_old:
            self.close()

    def close(self) -> None:
        import pyarrow
        from pyarrow import parquet

        if not self.rows:
            return
        columns = zip(*self.rows, strict=True)
        arrays = [
            pyarrow.array(column, field.type)
            for column, field in zip(columns, self.schema, strict=True)
        ]
        table = pyarrow.Table.from_arrays(arrays, schema=self.schema)
        path = self.folder / f'part-{len(self.parts):06}.parquet'
        if path.exists():
            raise written_by_another(self.folder)
        with whole_path(path) as part:
            parquet.write_table(table, part)
        self.parts.append(path)
        self._start_part()
