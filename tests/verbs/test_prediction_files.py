"""Files of predictions that cannot be written, or gone on with."""

import errno
import io
import json
import os
import sys

import pytest

from vptm_mm.run_verb import is_for_users
from vptm_mm.verbs.predict import skip_written
from vptm_mm.verbs.prediction_files import JSONLines, open_predictions
from vptm_mm.weights import WriteError

SETTINGS = dict(tasks=dict(a='0'), topk=1)
ROW = dict(image='x.png', task='a', top=[])


@pytest.mark.parametrize(
    'kind',
    ['jsonl', pytest.param('parquet', marks=pytest.mark.needs('pyarrow'))],
)
def test_the_later_of_two_commands_stops(tmp_path, kind):
    path = tmp_path / f'x.{kind}'
    first, second = (open_predictions(kind, path, SETTINGS) for _ in range(2))
    row = dict(ROW, top=[{'class': 'a', 'confidence': 1.0}])

    def append(file):
        file.write([row])
        file.close()

    append(first)
    append(first)
    with pytest.raises(FileExistsError, match='by another command') as found:
        append(second)
    assert is_for_users(found.value)
    append(first)
    assert len(list(open_predictions(kind, path, SETTINGS).written())) == 3


@pytest.mark.skipif(sys.platform == 'win32', reason='has no such files')
def test_what_is_not_a_file(tmp_path):
    """It cannot be read again; it is not opened, which might never end."""
    pipe = tmp_path / 'pipe'
    os.mkfifo(pipe)
    with pytest.raises(ValueError, match='is not a file; .* --out -'):
        open_predictions('jsonl', pipe, SETTINGS)
    assert [*tmp_path.iterdir()] == [pipe]


def test_a_disk_that_is_full(tmp_path, monkeypatch):
    file = JSONLines(tmp_path / 'x.jsonl', SETTINGS)
    file.write([ROW])

    def fail(*args):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr('pathlib.Path.open', fail)
    with pytest.raises(WriteError, match='x.jsonl: No space left on') as found:
        file.write([ROW])
    assert is_for_users(found.value)


def test_a_full_disk_behind_stdout(monkeypatch):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr('sys.stdout', Full())
    with pytest.raises(WriteError, match='stdout: No space left on'):
        open_predictions('jsonl', None, SETTINGS).write([ROW])


@pytest.mark.parametrize('line', ['\0\0\0', '{}', '[]', '{"image": 1}'])
def test_lines_of_somebody_else(tmp_path, line):
    path = tmp_path / 'x.jsonl'
    file = JSONLines(path, SETTINGS)
    file.write([ROW])
    content = f'{json.dumps(ROW)}\n{line}\n{json.dumps(ROW)}\n'
    path.write_text(content)
    with pytest.raises(ValueError, match='line that is not a pred') as found:
        list(JSONLines(path, SETTINGS).written())
    assert is_for_users(found.value)
    assert path.read_text() == content


def test_fewer_images_than_are_there():
    with pytest.raises(ValueError, match="'x.png' after 0 images, and there"):
        skip_written(iter([]), [ROW], 'x.jsonl')
