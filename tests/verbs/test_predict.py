"""tools/predict.py as a user runs it."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from vptm_mm.datasets import SklearnDigits
from vptm_mm.tasks import read_task, write_task
from vptm_mm.verbs import prediction_files

from ..conftest import ROOT
from .test_tools import run
from .vptm import vptm

TASK = ROOT / 'vptm_mm' / 'checkpoints' / 'vptm_beitv2-tiny_digits.safetensors'
AGAIN = f'{TASK.parent}/./{TASK.name}'
# Latin-1: no text for a system whose names are UTF-8.
FOREIGN = os.fsdecode(b'caf\xe9.png')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Ten digits in two folders, and a task with Chinese names."""
    cwd = tmp_path_factory.mktemp('images')
    dataset = SklearnDigits(split='test')
    for i in range(10):
        path = cwd / 'digits' / 'ab'[i % 2] / f'{i}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(dataset.get_data_info(i)['img']).save(path)
    task = read_task(TASK)
    named = vars(task) | dict(classes=tuple('零一二三四五六七八九'))
    write_task(type(task)(**named), cwd / 'chinese.safetensors')
    return cwd


@pytest.fixture
def many(folder, tmp_path):
    """200 links to digits in four folders, and a file that is not an image."""
    digits = sorted((folder / 'digits').rglob('*.png'))
    for i in range(200):
        link = tmp_path / 'many' / 'abcd'[i % 4] / f'{i}.png'
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(digits[i % len(digits)])
    (tmp_path / 'many' / 'b' / 'text.png').write_text('text')
    return tmp_path / 'many'


@pytest.fixture
def predict(folder, monkeypatch, capsys):
    """Run the tool in this process; return its code and what it printed."""

    def _predict(*args):
        monkeypatch.chdir(folder)
        code = vptm('predict', *args)
        return code, *capsys.readouterr()

    return _predict


def test_a_folder_with_two_tasks(folder, predict):
    both = ('--task', f'digits={TASK}', '--task', 'chinese.safetensors')
    predict(
        *('digits', *both, '--format', 'json', '--out', 'out.json'),
        *('--topk', '2', '--batch-size', '3'),
    )
    result = json.loads((folder / 'out.json').read_text('utf-8'))
    rows = result['predictions']
    assert result['errors'] == {}
    assert len(rows) == 20
    assert [row['image'] for row in rows[::2]] == sorted(
        row['image'] for row in rows[::2]
    )
    names = read_task(folder / 'chinese.safetensors').classes
    dataset = SklearnDigits(split='test')
    right = 0
    for digit, chinese in zip(rows[::2], rows[1::2], strict=True):
        assert digit['image'] == chinese['image']
        assert (digit['task'], chinese['task']) == ('digits', 'chinese')
        first, second = digit['top']
        assert 0 <= second['confidence'] <= first['confidence'] <= 1
        assert chinese['top'][0]['class'] == names[int(first['class'])]
        index = int(digit['image'].split('/')[-1].split('.')[0])
        right += int(first['class']) == dataset.get_gt_labels()[index]
    assert right >= 7


def test_an_unreadable_image_is_named_and_the_rest_goes_on(folder, predict):
    (folder / 'text.png').write_text('no image')
    images = ('digits/a', 'text.png', 'gone.jpg')
    code, out, err = predict(*images, '--task', TASK, '--format', 'csv')
    assert code == 1
    assert 'text.png: the file (8 bytes' in err
    assert "No such file or directory: 'gone.jpg'" in err
    assert 'Unreadable: 2 of 7 images.' in err
    lines = [line for line in out.splitlines() if line.count(',') == 4]
    rows = list(csv.DictReader(lines))
    assert len(rows) == 5
    assert {row['rank'] for row in rows} == {'1'}


def test_the_table(predict):
    _, shown, _ = predict('digits/a/0.png', '--task', TASK)
    assert 'confidence' in shown
    assert 'digits/a/0.png' in shown
    assert '%' in shown


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (('empty', '--task', TASK), 'no image below'),
        (('digits', '--task', 'gone.safetensors'), 'no task file at'),
        (('digits', '--task', TASK, '--out', 'no/x'), 'no folder'),
        (('digits', '--task', TASK, '--task', AGAIN), 'two task files are'),
    ],
)
def test_errors(folder, predict, args, message):
    (folder / 'empty').mkdir(exist_ok=True)
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        predict(*args)


@pytest.mark.skipif(sys.platform != 'linux', reason='names are text there')
@pytest.mark.parametrize('kind', ['json', 'csv', 'table'])
def test_a_name_that_is_no_text(folder, predict, kind):
    """What was in the file before is replaced by all of it."""
    image = folder / 'digits' / 'a' / '0.png'
    (folder / FOREIGN).write_bytes(image.read_bytes())
    out = folder / 'before.txt'
    out.write_text('before')
    options = ('--task', TASK, '--format', kind, '--out', out.name)
    predict(FOREIGN, 'digits/a/0.png', *options)
    text = out.read_text('utf-8')
    assert 'caf\\udce9.png' in text
    assert 'digits/a/0.png' in text
    if kind == 'json':
        assert json.loads(text)['predictions'][0]['image'] == FOREIGN


def test_a_failure_leaves_the_file_that_was_there(
    folder, predict, monkeypatch
):
    out = folder / 'kept.csv'
    out.write_text('before')
    # Fails when all is computed.
    monkeypatch.setattr(
        prediction_files.WholeFile, '_write_to', lambda *args: 1 / 0
    )
    options = ('--task', TASK, '--out', out.name)
    with pytest.raises(ZeroDivisionError, match='by zero'):
        predict('digits/a/0.png', *options)
    assert out.read_text() == 'before'


def test_images_of_any_kind(folder):
    """Grey, transparent, 16 bits: what OpenCV reads as colour.

    Stdout is JSON and nothing else, at a console that knows no Chinese.
    """
    pixels = np.asarray(Image.open(folder / 'digits' / 'a' / '0.png'))
    kinds = folder / 'kinds'
    kinds.mkdir(exist_ok=True)
    Image.fromarray(pixels[..., 0]).save(kinds / 'grey.png')
    Image.fromarray(pixels).convert('RGBA').save(kinds / 'alpha.png')
    Image.fromarray(pixels).convert('P').save(kinds / 'palette.bmp')
    sixteen = pixels[..., 0].astype(np.uint16) * 257
    Image.fromarray(sixteen).save(kinds / 'sixteen.png')
    result = run(
        'predict.py',
        *('kinds', '--task', 'chinese.safetensors', '--format', 'json'),
        cwd=folder,
        PYTHONIOENCODING='cp1252',
    )
    assert result.stderr == ''
    rows = json.loads(result.stdout)['predictions']
    assert len(rows) == 4
    (name,) = {row['top'][0]['class'] for row in rows}
    assert name in '零一二三四五六七八九'


TWO = ('--task', f'digits={TASK}', '--task', 'chinese.safetensors')


def rows_of(path):
    """All rows of JSON lines or of Parquet, whose rows are of a class."""
    if path.suffix == '.jsonl':
        return [json.loads(line) for line in path.read_text().splitlines()]
    import pyarrow.parquet as pq

    rows: dict = {}
    for row in pq.read_table(path).to_pylist():
        image, task, rank = row['image'], row['task'], row['rank']
        if row['error']:
            rows[image] = dict(image=image, error=row['error'])
            continue
        empty = dict(image=image, task=task, top=[])
        top = rows.setdefault((image, task), empty)['top']
        assert len(top) == rank - 1, row
        top.append({'class': row['class'], 'confidence': row['confidence']})
    return list(rows.values())


PARQUET = pytest.param('parquet', marks=pytest.mark.needs('pyarrow'))
EACH_RESUMABLE = pytest.mark.parametrize('kind', ['jsonl', PARQUET])


@EACH_RESUMABLE
def test_streamed_rows_are_those_of_json(folder, predict, tmp_path, kind):
    """With workers and without; surrogates, and an image that is none."""
    (folder / 'text.png').write_text('no image')
    (folder / FOREIGN).write_bytes((folder / 'digits/a/0.png').read_bytes())
    images = ('digits', 'text.png', FOREIGN)
    options = (*TWO, '--topk', 3, '--batch-size', 4)
    code, _, err = predict(*(*images, *options, '--out', tmp_path / 'a.json'))
    expected = json.loads((tmp_path / 'a.json').read_text())
    out = tmp_path / f'a.{kind}'
    again = predict(*images, *options, '--out', out, '--workers', 2)
    assert (code, err) == (1, again[2])
    rows = rows_of(out)
    if kind == 'parquet':  # its text is UTF-8
        rows[-2:] = [dict(row, image=FOREIGN) for row in rows[-2:]]
    errors = {r['image']: r['error'] for r in rows if 'error' in r}
    assert errors == expected['errors']
    assert [r for r in rows if 'top' in r] == expected['predictions']


@pytest.mark.skipif(sys.platform != 'linux', reason='counts in /proc')
def test_workers_hold_no_file_for_an_image(many, predict, tmp_path):
    """Nor shared memory, of which a container has little."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = len(os.listdir('/proc/self/fd')) + 60
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, limits[1]))
    try:
        options = ('--batch-size', 100, '--workers', 1)
        predict(many, *TWO, '--out', tmp_path / 'a.csv', *options)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len((tmp_path / 'a.csv').read_text().splitlines()) == 401


def test_lines_on_stdout(predict):
    _, out, err = predict(
        *('digits/a', '--task', TASK, '--format', 'jsonl'),
    )
    lines = [line for line in out.splitlines() if line.startswith('{')]
    rows = [json.loads(line) for line in lines]
    assert [row['image'][-5:] for row in rows] == [
        f'{i}.png' for i in range(0, 10, 2)
    ]
    with pytest.raises(ValueError, match='give --out'):
        predict('digits', '--task', TASK, '--format', 'parquet')


def test_a_killed_run_goes_on(folder, many, predict, tmp_path):
    whole, cut = tmp_path / 'whole.jsonl', tmp_path / 'cut.jsonl'
    options = (many, *TWO, '--batch-size', 2)
    predict(*options, '--out', whole)
    command = ('-m', 'vptm_mm', 'predict', *options, '--out', cut)
    with subprocess.Popen(
        [sys.executable, *map(str, command), '--workers', '1'],
        cwd=folder,
        stderr=subprocess.PIPE,
    ) as process:
        while not (cut.exists() and cut.stat().st_size):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    done = cut.read_bytes()
    assert whole.read_bytes().startswith(done)
    assert len(done) < whole.stat().st_size
    code, _, err = predict(*options, '--out', cut)
    assert code == 1
    assert 'of 201 images are there.' in err
    assert cut.read_bytes() == whole.read_bytes()


def test_what_is_torn_is_cut(many, predict, tmp_path):
    """In a line, and between the lines of two tasks of an image."""
    out = tmp_path / 'out.jsonl'
    options = (many / 'b', *TWO, '--out', out)
    predict(*options)
    whole = out.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord('\n')]
    for end in (0, 5, ends[0], ends[0] + 5, ends[1], ends[-1] - 1, ends[-1]):
        out.write_bytes(whole[:end])
        code, _, err = predict(*options)
        assert out.read_bytes() == whole, end
        assert code == 1
        assert 'Unreadable: 1 of 51 images.' in err


@pytest.mark.needs('pyarrow')
def test_parts_go_on(many, predict, tmp_path, monkeypatch):
    whole, cut = tmp_path / 'whole.parquet', tmp_path / 'cut.parquet'
    options = (many, *TWO, '--topk', 2, '--batch-size', 2)
    predict(*options, '--out', whole)
    monkeypatch.setattr(prediction_files, 'PART_ROWS', 100)
    write = prediction_files.ParquetFolder.write
    calls = [write] * 120

    def stop(self, rows):
        calls.pop()(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(prediction_files.ParquetFolder, 'write', stop)
        with pytest.raises(IndexError, match='pop from empty list'):
            predict(*options, '--out', cut)
    assert len(rows_of(cut)) < len(rows_of(whole))
    # As a writer that was killed leaves it.
    (cut / 'part-000004.parquet.0123abcd.part').write_bytes(b'PAR1')
    _, _, err = predict(*options, '--out', cut)
    assert '100 of 201 images are there.' in err
    assert len([*cut.iterdir()]) > len([*whole.iterdir()]) == 1
    assert rows_of(cut) == rows_of(whole)


@EACH_RESUMABLE
def test_another_command_does_not_go_on(folder, predict, tmp_path, kind):
    out = tmp_path / f'out.{kind}'
    first = ('digits', '--task', f'digits={TASK}', '--out', out)
    predict(*first)
    names = {path.name for path in tmp_path.iterdir()}
    before = rows_of(out)
    other = f'digits={folder / "chinese.safetensors"}'
    for changed, message in (
        (('digits', '--task', other, '--out', out), 'begun with tasks='),
        ((*first, '--topk', 2), 'was begun with topk=1, and this command'),
        (('digits/b', *first[1:]), "'digits/a/0.png' after 0 images"),
        (('digits/a', *first[1:]), "'digits/b/1.png' after 5 images"),
    ):
        with pytest.raises(ValueError, match=message):
            predict(*changed)
    assert rows_of(out) == before
    assert {path.name for path in tmp_path.iterdir()} == names
    # More images behind those that are there are a longer list.
    predict('digits', folder / 'digits' / 'a', *first[1:])
    rows = rows_of(out)
    assert rows[:10] == before
    assert [row['top'] for row in rows[10:]] == [r['top'] for r in before[:5]]


@EACH_RESUMABLE
def test_a_file_of_others_is_kept(folder, predict, tmp_path, kind):
    out = tmp_path / f'out.{kind}'
    inner = out / 'mine.txt' if kind == 'parquet' else out
    inner.parent.mkdir(exist_ok=True)
    inner.write_text('mine')
    with pytest.raises(FileExistsError, match='give another --out'):
        predict('digits', '--task', TASK, '--out', out)
    assert inner.read_text() == 'mine'


@pytest.mark.slow
@pytest.mark.needs('ray', 'pyarrow')
def test_ray_predicts_the_same(folder, many, predict, tmp_path):
    here, there = tmp_path / 'here.jsonl', tmp_path / 'there.jsonl'
    (many / 'b' / 'text.png').unlink()
    options = (many.parent / 'many', *TWO, '--topk', 2, '--batch-size', 8)
    predict(*options, '--out', here)
    # What was written before Ray took over stays.
    there.write_bytes(here.read_bytes()[:1000])
    beside = here.with_name('here.jsonl.settings.json')
    beside.rename(there.with_name('there.jsonl.settings.json'))
    code, _, _ = predict(*options, '--out', there, '--ray', '--workers', 2)
    assert code == 0
    assert there.read_bytes() == here.read_bytes()
