"""tools/check_dataset.py as a user runs it."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from ..conftest import ROOT
from ..made_images import KINDS, encode
from .test_tools import run

FOLDER = ROOT / 'configs' / 'vptm_beitv2_folder.py'


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
    assert f'test {leaked}, label 1' in result.stdout
    report = json.loads((tmp_path / 'found.json').read_text())
    found = {one['kind']: one for one in report['findings']}
    assert set(found) == {'cut short', 'equal, in several splits'}
    assert found['cut short']['images'] == [
        dict(image=str(broken), split='train', label=0)
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
