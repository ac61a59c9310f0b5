"""Splits of one run that are cut in different places."""

import pytest
from mmengine.config import Config

from vptm_mm.datasets.split_check import check_splits
from vptm_mm.engine.launch import LOADERS, build_runner

from ..conftest import ROOT

CONFIGS = ROOT / 'configs'
MAIN = sorted(CONFIGS.glob('vptm_*.py'))


@pytest.mark.parametrize('path', MAIN, ids=lambda path: path.stem)
def test_shipped_configs_cut_alike(path, tmp_path, monkeypatch):
    for number in range(20):
        image = tmp_path / 'images' / 'ab'[number % 2] / f'{number}.png'
        image.parent.mkdir(parents=True, exist_ok=True)
        image.touch()
    monkeypatch.setenv('IMAGE_FOLDER', str(tmp_path / 'images'))
    check_splits(Config.fromfile(path), LOADERS)


@pytest.mark.parametrize(
    ('config', 'option', 'value', 'message'),
    [
        (
            'cub_224',
            'val_dataloader.dataset.val_fraction',
            0.2,
            'train_dataloader and val_dataloader cut TrainValSplit by '
            'different val_fraction, 0.1 and 0.2, so they would share images',
        ),
        ('cub_224', 'train_dataloader.dataset.seed', 1, 'different seed, 1 '),
        (
            'cub_224',
            'train_dataloader.dataset.dataset.indices',
            100,
            'different indices, 100 and None',
        ),
        (
            'folder_32',
            'val_dataloader.dataset.dataset.val_fraction',
            0.2,
            'different val_fraction, 0.1 and 0.2',
        ),
    ],
)
def test_one_that_is_cut_elsewhere(config, option, value, message):
    path = CONFIGS / '_base_' / 'datasets' / f'{config}.py'
    cfg = Config.fromfile(path)
    check_splits(cfg, LOADERS)
    cfg.merge_from_dict({option: value})
    with pytest.raises(ValueError, match=message):
        check_splits(cfg, LOADERS)


def test_a_folder_of_ones_own():
    folder = dict(type='ImageFolder', data_root='images')
    cfg = dict(
        train_dataloader=dict(dataset=dict(**folder, split='train')),
        test_dataloader=dict(
            dataset=dict(**folder, split='test', test_fraction=0.2)
        ),
    )
    check_splits(cfg, LOADERS)
    cfg['test_dataloader']['dataset']['test_fraction'] = 0.3
    with pytest.raises(ValueError, match='test_fraction, 0.2 and 0.3'):
        check_splits(cfg, LOADERS)
    # Other images may be cut as they like.
    cfg['test_dataloader']['dataset']['data_root'] = 'others'
    check_splits(cfg, LOADERS)


def test_no_run_begins(tmp_path, monkeypatch):
    for name in ('TRAIN_FOLDER', 'TEST_FOLDER'):
        monkeypatch.setenv(name, str(tmp_path))
    cfg = Config.fromfile(CONFIGS / '_base_' / 'datasets' / 'folder_32.py')
    cfg.val_dataloader.dataset.dataset.seed = 3
    with pytest.raises(ValueError, match='different seed, 0 and 3'):
        build_runner(cfg, LOADERS)


@pytest.mark.parametrize(
    ('draws', 'message'),
    [
        (
            [dict(ways=2), dict(ways=2), dict(ways=3)],
            'train_dataloader 2, 0; val_dataloader 2, 0; '
            'test_dataloader 3, 0. Set both alike',
        ),
        (
            [dict(ways=2), dict(ways=2), dict(ways=2, seed=1)],
            'test_dataloader 2, 1',
        ),
        ([dict(ways=2), None, dict(ways=2)], 'val_dataloader all'),
        ([dict(ways=2, seed=0), dict(ways=2), dict(ways=2)], None),
    ],
)
def test_classes_that_are_drawn_otherwise(draws, message):
    digits = dict(type='SklearnDigits')
    cfg = {
        loader: dict(
            dataset=digits
            if draw is None
            else dict(
                type='KShot', dataset=dict(type='NWay', dataset=digits, **draw)
            )
        )
        for loader, draw in zip(LOADERS, draws, strict=True)
    }
    if message is None:
        check_splits(cfg, LOADERS)
        return
    with pytest.raises(ValueError, match=message):
        check_splits(cfg, LOADERS)
    check_splits({**cfg, 'test_dataloader': cfg['train_dataloader']}, ())


def test_classes_that_are_drawn_inside_of_a_cut_and_outside():
    """Cut before and after, the same images would be in both parts."""
    digits = dict(type='SklearnDigits')
    some = dict(type='NWay', ways=5)
    cut = dict(type='TrainValSplit')
    inside = dict(cut, part='train', dataset=dict(some, dataset=digits))
    outside = dict(some, dataset=dict(cut, part='val', dataset=digits))
    cfg = {
        'train_dataloader': dict(dataset=inside),
        'val_dataloader': dict(dataset=outside),
    }
    with pytest.raises(ValueError, match='TrainValSplit by different NWay, '):
        check_splits(cfg, LOADERS)
    cfg['train_dataloader'] = cfg['val_dataloader']
    check_splits(cfg, LOADERS)


def test_images_that_are_drawn_otherwise_before_a_cut():
    """However they are read."""
    digits = dict(type='SklearnDigits', pipeline=[dict(type='PackInputs')])

    def part(name, seed, **options):
        drawn = dict(type='KShot', shots=16, seed=seed, dataset=digits)
        return dict(type='TrainValSplit', part=name, dataset=drawn, **options)

    cfg = {
        'train_dataloader': dict(dataset=part('train', 3)),
        'val_dataloader': dict(dataset=part('val', 0, pipeline=[])),
    }
    with pytest.raises(ValueError, match=r'different KShot, \(16, 3\) and'):
        check_splits(cfg, LOADERS)
    cfg['val_dataloader']['dataset']['dataset']['seed'] = 3
    check_splits(cfg, LOADERS)


def test_a_union_of_splits_beside_a_part_of_it():
    path = CONFIGS / 'vtab' / 'vptm_beitv2_vtab-kitti.py'
    cfg = Config.fromfile(path)
    check_splits(cfg, LOADERS)
    cfg.train_dataloader.dataset.split = 'train800val200'
    with pytest.raises(ValueError, match="'val200' of val_dataloader.*--no-v"):
        check_splits(cfg, LOADERS)
    cfg.val_dataloader = None  # --no-validate
    check_splits(cfg, LOADERS)
