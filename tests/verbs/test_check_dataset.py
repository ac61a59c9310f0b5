"""``vptm check`` as a user runs it, from a foreign folder."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vptm_mm.datasets import TrainValSplit

from ..conftest import ROOT
from ..made_images import KINDS, encode
from .vptm import vptm

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


@pytest.fixture
def check(images, tmp_path, monkeypatch, capsys):
    """Run the command in this process: exit code, stdout, report."""
    monkeypatch.setenv('IMAGE_FOLDER', str(images))
    monkeypatch.setenv('TRAIN_FOLDER', str(images / 'train'))
    monkeypatch.setenv('TEST_FOLDER', str(images / 'test'))
    monkeypatch.chdir(tmp_path)

    def _check(*args):
        flags = ('--workers', '0', '--out', 'found.json')
        code = vptm('check', *flags, *args)
        report = json.loads(Path('found.json').read_text())
        return code, capsys.readouterr().out, report

    return _check


def test_a_folder_with_problems(images, check):
    broken = images / 'train' / 'cat' / 'broken.jpg'
    broken.write_bytes(KINDS['JPEG cut short'][1]())
    leaked = images / 'test' / 'dog' / 'leaked.png'
    leaked.write_bytes((images / 'train' / 'dog' / '0.png').read_bytes())
    code, shown, report = check(FOLDER, '--workers', '2')
    assert code == 1
    assert 'the JPEG file of' in shown
    assert f'train {broken}, class cat' in shown
    assert f'test {leaked}, class dog' in shown
    found = {one['kind']: one for one in report['findings']}
    assert set(found) == {'cut short', 'equal, in several splits'}
    image = dict(image=str(broken), split='train', label=0)
    assert found['cut short']['images'] == [{**image, 'class': 'cat'}]


def test_images_that_are_held_out_for_hooks(images, check):
    dataset = dict(
        type='ImageFolder',
        data_root=str(images),
        split='all',
        with_label=False,
    )
    (held_out,) = TrainValSplit(dataset, 'val', val_fraction=0.02)
    broken = held_out['img_path']
    Path(broken).write_bytes(KINDS['JPEG cut short'][1]())
    code, _, report = check(PRETRAIN / 'beitv2-tiny_folder.py')
    assert code == 1
    sizes = [one['images'] for one in report['splits'].values()]
    assert sizes == [15, 1]  # another hook reads it, too
    (found,) = (x for x in report['findings'] if x['kind'] == 'cut short')
    assert found['images'][0]['image'] == broken


def test_wrong_usage(check, capsys):
    with pytest.raises(SystemExit, match='2'):
        check(FOLDER, '--workers', '-1')
    assert '-1 must be an integer of at least 0' in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match='no folder .*gone'):
        check(FOLDER, '--out', 'gone/found.json')


def test_a_missing_folder(check, images):
    images.rename(images.parent / 'elsewhere')
    with pytest.raises(FileNotFoundError, match='IMAGE_FOLDER=PATH'):
        check(FOLDER)
