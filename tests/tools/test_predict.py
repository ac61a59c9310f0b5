"""tools/predict.py as a user runs it."""

import csv
import json
import os
import sys

import numpy as np
import pytest
from PIL import Image

from vptm_mm.datasets import SklearnDigits
from vptm_mm.tasks import read_task, write_task
from vptm_mm.verbs import predict as predict_verb

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
    assert 'text.png: text.png is not a readable image' in err
    assert 'gone.jpg: no image at' in err
    assert '2 of 7 images were unreadable.' in err
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


def test_wrong_usage(predict, capsys):
    with pytest.raises(SystemExit, match='2'):
        predict('digits', '--task', TASK, '--topk', '0')
    assert (
        '--topk: 0 must be an integer of at least 1' in capsys.readouterr().err
    )


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
    monkeypatch.setattr(predict_verb, 'write_rows', lambda *args: 1 / 0)
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
