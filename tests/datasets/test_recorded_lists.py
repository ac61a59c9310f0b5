"""Lists of images, recorded when the data sets were first published.

A change of one of these would change which images a published number was
trained or tested on.
"""

import hashlib
import os

import pytest
from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS

from vptm_mm.datasets import BGRCIFAR10

from ..made_cub import make_cub
from ..made_datasets import (
    make_cifar10,
    make_image_folder,
    make_nabirds,
    make_stanford_dogs,
    make_vtab,
    write_image,
)

DIGITS = dict(type='SklearnDigits')
CUB = dict(type='CUB', data_root='cub', split='train')
FOLDER = dict(type='ImageFolder', data_root='folder')
SPLITS = dict(type='ImageFolder', data_root='splits')
CIFAR = dict(type='BGRCIFAR10', data_root='cifar', split='train')
NABIRDS = dict(type='NABirds', data_root='nabirds')
DOGS = dict(type='StanfordDogs', data_root='dogs')
KITTI = dict(type='VTAB1k', data_root='vtab', task='kitti')


def cut(part, dataset, **options):
    return dict(type='TrainValSplit', part=part, dataset=dataset, **options)


def shots(dataset, **options):
    return dict(type='KShot', dataset=dataset, **options)


def ways(dataset, **options):
    return dict(type='NWay', dataset=dataset, **options)


RECORDED = {
    'digits, train': (dict(DIGITS, split='train'), 1077, 'bdfd59d9a3765a38'),
    'digits, val': (dict(DIGITS, split='val'), 360, 'da40bd4b2f112d98'),
    'digits, test': (dict(DIGITS, split='test'), 360, 'd8bb97fed2311aed'),
    'CIFAR': (CIFAR, 40, '1dffde200927323e'),
    'NABirds, train': (dict(NABIRDS, split='train'), 561, '53c41939a61358e5'),
    'NABirds, test': (dict(NABIRDS, split='test'), 4, 'ce304c0589535935'),
    'Stanford Dogs, train': (
        dict(DOGS, split='train'),
        126,
        '5f14bd105e13c52d',
    ),
    'Stanford Dogs, test': (dict(DOGS, split='test'), 120, '3a5c52a26469e0d1'),
    'VTAB-1k, train': (KITTI, 4, '87e96e10626c930e'),
    'VTAB-1k, test': (dict(KITTI, split='test'), 4, '9953f57288b2ec58'),
    'folder, train': (dict(FOLDER, split='train'), 70, '93b0a4dc6baab416'),
    'folder, val, seed 3': (
        dict(FOLDER, split='val', seed=3),
        10,
        '5d1b6a623272ae17',
    ),
    'folder, test': (
        dict(FOLDER, split='test', test_fraction=0.5),
        50,
        'beafd6a0a27b9a99',
    ),
    'folder, without labels': (
        dict(FOLDER, split='all', with_label=False),
        100,
        'b4e051251ab84e4c',
    ),
    'split folders, train': (
        dict(SPLITS, split='train'),
        36,
        '31759884fc49f658',
    ),
    'split folders, val': (dict(SPLITS, split='val'), 4, 'f5e5ca0b85c92ce9'),
    'split folders, test': (
        dict(SPLITS, split='test'),
        20,
        'd3fbfb9f581f0c96',
    ),
    'split folders, all': (dict(SPLITS, split='all'), 60, '06afc3541ec2b9ab'),
    'TrainValSplit, train': (cut('train', CUB), 600, '119958695b43ec23'),
    'TrainValSplit, val': (
        cut('val', CUB, val_fraction=0.3, seed=1),
        200,
        'f547022a806a40d2',
    ),
    'TrainValSplit of images in memory': (
        cut('val', DIGITS),
        109,
        '12dbd0a61e1f4a82',
    ),
    'KShot': (shots(FOLDER, shots=4), 20, '96b74a42641ab148'),
    'KShot, seed 2': (
        shots(cut('train', CUB), shots=1, seed=2),
        200,
        '1b2d2f2d88892c13',
    ),
    'NWay': (ways(DIGITS, ways=3), 324, 'e7ce39b5d54153e5'),
    'NWay, seed 1': (ways(CUB, ways=20, seed=1), 80, 'acb3b6b3b332e56c'),
    'n-way k-shot': (
        shots(ways(FOLDER, ways=2, seed=4), shots=2, seed=1),
        4,
        'c4d228e931f17623',
    ),
}


@pytest.fixture(scope='module')
def roots(tmp_path_factory):
    """The folders that the configs name, in one folder."""
    home = tmp_path_factory.mktemp('recorded')
    for name, root in dict(
        cub=make_cub(home / 'a', images_per_class=8),
        folder=make_image_folder(home / 'b', classes=5, images=20),
        cifar=make_cifar10(home),
        nabirds=make_nabirds(home / 'c'),
        dogs=make_stanford_dogs(home / 'c'),
        vtab=make_vtab(home / 'c', ('kitti',)),
    ).items():
        (home / name).symlink_to(root)
    for split in ('seg_train/seg_train', 'seg_test/seg_test'):
        for name in 'ab':
            for number in range(10):
                path = home / 'splits' / split / name / f'{number % 2}'
                write_image(path / f'{number}.PNG')
    linked = home / 'splits' / 'seg_train' / 'seg_train' / 'b' / 'linked'
    linked.symlink_to(home / 'folder' / 'class_1')
    return home


@pytest.mark.parametrize('name', RECORDED)
def test_recorded_lists(name, roots, monkeypatch):
    monkeypatch.setattr(BGRCIFAR10, '_check_integrity', lambda self: True)
    monkeypatch.chdir(roots)
    cfg, count, recorded = RECORDED[name]
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        dataset = DATASETS.build(cfg)
    digest = hashlib.sha256()
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        path, image = info.get('img_path'), info.get('img')
        what = os.path.normpath(path) if path else image.tobytes().hex()
        digest.update(f'{what} {info.get("gt_label")}\n'.encode())
    assert (len(dataset), digest.hexdigest()[:16]) == (count, recorded)
