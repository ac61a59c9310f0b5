"""tools/predict.py as a user runs it."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from vptm_mm.checkpoints import read_task, write_task
from vptm_mm.datasets import SklearnDigits

from ..conftest import ROOT
from .test_tools import fails, run

TASK = ROOT / 'vptm_mm' / 'checkpoints' / 'vptm_beitv2-tiny_digits.safetensors'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Ten digits in two folders, and a task with letters for names."""
    cwd = tmp_path_factory.mktemp('images')
    dataset = SklearnDigits(split='test')
    for i in range(10):
        path = cwd / 'digits' / 'ab'[i % 2] / f'{i}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(dataset.get_data_info(i)['img']).save(path)
    task = read_task(TASK)
    letters = vars(task) | dict(classes=tuple('abcdefghij'))
    write_task(type(task)(**letters), cwd / 'letters.safetensors')
    return cwd


def test_a_folder_with_two_tasks(folder):
    both = ('--task', TASK, '--task', 'letters.safetensors')
    run(
        'predict.py',
        *('digits', *both, '--format', 'json', '--out', 'out.json'),
        *('--topk', '2', '--batch-size', '3'),
        cwd=folder,
    )
    result = json.loads((folder / 'out.json').read_text())
    rows = result['predictions']
    assert result['errors'] == {}
    assert len(rows) == 20
    assert [row['image'] for row in rows[::2]] == sorted(
        row['image'] for row in rows[::2]
    )
    dataset = SklearnDigits(split='test')
    right = 0
    for digit, letter in zip(rows[::2], rows[1::2], strict=True):
        assert digit['image'] == letter['image']
        assert letter['task'] == 'letters'
        first, second = digit['top']
        assert 0 <= second['confidence'] <= first['confidence'] <= 1
        assert letter['top'][0]['class'] == chr(97 + int(first['class']))
        index = int(digit['image'].split('/')[-1].split('.')[0])
        right += int(first['class']) == dataset.get_gt_labels()[index]
    assert right >= 7


def test_an_unreadable_image_is_named_and_the_rest_goes_on(folder):
    (folder / 'text.png').write_text('no image')
    images = ('digits/a', 'text.png', 'gone.jpg')
    result = run(
        'predict.py',
        *(*images, '--task', TASK, '--format', 'csv'),
        cwd=folder,
        check=False,
    )
    assert result.returncode == 1
    assert 'text.png: text.png is no readable image' in result.stderr
    assert 'gone.jpg: no image at' in result.stderr
    assert '2 of 7 images were unreadable.' in result.stderr
    lines = [
        line for line in result.stdout.splitlines() if line.count(',') == 4
    ]
    rows = list(csv.DictReader(lines))
    assert len(rows) == 5
    assert {row['rank'] for row in rows} == {'1'}


def test_the_table(folder):
    result = run('predict.py', 'digits/a/0.png', '--task', TASK, cwd=folder)
    assert 'confidence' in result.stdout
    assert 'digits/a/0.png' in result.stdout
    assert '%' in result.stdout


def test_errors(folder):
    (folder / 'empty').mkdir(exist_ok=True)
    for args, message in (
        (('empty', '--task', TASK), 'no image below'),
        (('digits', '--task', 'gone.safetensors'), 'no task file at'),
        (('digits', '--task', TASK, '--topk', '0'), '--topk=0 must be >= 1'),
        (('digits', '--task', TASK, '--out', 'no/x'), 'no folder'),
        (('digits', '--task', TASK, '--task', TASK), 'two task files are'),
    ):
        assert message in fails('predict.py', *args, cwd=folder), args


def test_images_of_any_kind(folder):
    """Grey, transparent, rotated by EXIF: what OpenCV reads as colour."""
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
        *('kinds', '--task', TASK, '--format', 'json'),
        cwd=folder,
    )
    text = result.stdout[result.stdout.index('{\n') :]
    rows = json.loads(text)['predictions']
    assert len(rows) == 4
    assert len({row['top'][0]['class'] for row in rows}) == 1
