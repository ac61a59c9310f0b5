"""tools/check_dataset.py as a user runs it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vptm_mm.datasets import TrainValSplit

from ..conftest import ROOT
from ..made_images import KINDS, encode
from .test_tools import run

FOLDER = ROOT / 'configs' / 'vptm_beitv2_folder.py'
PRETRAIN = ROOT / 'configs' / 'pretrain'


@pytest.fixture
def images(tmp_path):
    """Two classes in split folders."""
    random = np.random.default_rng(0)
    for split, count in (('train', 4), ('val', 2), ('test', 2)):
        for name in ('cat', 'dog'):
            folder = tmp_path / 'images' / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = random.integers(0, 256, (9, 12, 3), dtype=np.uint8)
                content = encode('PNG', Image.fromarray(pixels))
                (folder / f'{i}.png').write_bytes(content)
    return tmp_path / 'images'


def check(folder, *args, **options):
    return run(
        'check_dataset.py',
        FOLDER,
        *args,
        cwd=folder.parent,
        check=False,
        IMAGE_FOLDER=str(folder),
        **options,
    )


def test_notes_are_no_problems(images, tmp_path):
    note = images / 'train' / 'cat' / 'turned.jpg'
    note.write_bytes(KINDS['rotated by EXIF'][1]())
    result = check(images, '--show', '0', '--json', 'found.json')
    assert result.returncode == 0, result.stderr
    assert 'note: rotated by EXIF, turned upright' in result.stdout
    assert str(note) not in result.stdout
    assert '\x1b' not in result.stdout
    report = json.loads((tmp_path / 'found.json').read_text())
    assert [one['level'] for one in report['findings']] == ['note']
    assert report['splits']['train']['classes'] == dict(cat=5, dog=4)


def test_a_folder_with_problems(images, tmp_path):
    broken = images / 'train' / 'cat' / 'broken.jpg'
    broken.write_bytes(KINDS['JPEG cut short'][1]())
    leaked = images / 'test' / 'dog' / 'leaked.png'
    leaked.write_bytes((images / 'train' / 'dog' / '0.png').read_bytes())
    result = check(images, '--json', 'found.json', '--workers', '2')
    assert result.returncode == 1, result.stderr
    assert f'train {broken}: the JPEG file of' in result.stdout
    assert f'test {leaked}, class dog' in result.stdout
    report = json.loads((tmp_path / 'found.json').read_text())
    found = {one['kind']: one for one in report['findings']}
    assert set(found) == {'cut short', 'equal, in several splits'}
    assert found['cut short']['images'] == [
        {
            'image': str(broken),
            'split': 'train',
            'label': 0,
            'class': 'cat',
        }
    ]


def test_images_that_are_held_out_for_hooks(images, tmp_path):
    pretraining = PRETRAIN / 'beitv2-tiny_folder.py'
    dataset = dict(
        type='ImageFolder',
        data_root=str(images),
        split='all',
        with_label=False,
    )
    (held_out,) = TrainValSplit(dataset, 'val', val_fraction=0.02)
    broken = held_out['img_path']
    Path(broken).write_bytes(KINDS['JPEG cut short'][1]())
    result = run(
        *('check_dataset.py', pretraining, '--json', 'found.json'),
        cwd=tmp_path,
        check=False,
        IMAGE_FOLDER=str(images),
    )
    assert result.returncode == 1, result.stderr
    report = json.loads((tmp_path / 'found.json').read_text())
    sizes = {name: one['images'] for name, one in report['splits'].items()}
    # Another hook reads it, too.
    assert sizes == {'train': 15, 'default_hooks.report.masked_tokens': 1}
    (found,) = (x for x in report['findings'] if x['kind'] == 'cut short')
    assert found['images'][0]['image'] == broken


@pytest.mark.parametrize('name', ['cifar10', 'digits'])
def test_hooks_that_read_what_is_trained_on(name, images, tmp_path):
    result = run(
        *('check_dataset.py', PRETRAIN / f'beitv2-tiny_{name}.py'),
        *('--json', 'found.json'),
        cwd=tmp_path,
        TRAIN_FOLDER=str(images / 'train'),
        TEST_FOLDER=str(images / 'test'),
    )
    assert 'problem' not in result.stdout
    report = json.loads((tmp_path / 'found.json').read_text())
    assert list(report['splits']) == [
        'train',
        'default_hooks.report.masked_tokens',
    ]


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (('--json', 'gone/found.json'), '--json: no folder .*gone'),
        (('--cfg-options', 'train_dataloder.batch_size=1'), 'train_dataloder'),
        (('--workers', '-1'), '--workers=-1 must be >= 0'),
    ],
)
def test_wrong_usage(images, args, message):
    result = check(images, *args)
    assert result.returncode == 2
    assert re.search(message, result.stderr)


def test_a_missing_folder(tmp_path):
    result = check(tmp_path / 'gone')
    assert result.returncode == 2
    assert 'IMAGE_FOLDER' in result.stderr
