"""Data loaders of one run that share images."""

import pytest
from mmengine.config import Config
from mmpretrain.datasets import CUB

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
            'train_dataloader and val_dataloader share images: the one reads '
            r"TrainValSplit\(part='train', val_fraction=0.1, seed=0\) of "
            r"CUB\(data_root='.*', split='train'\), the other "
            r"TrainValSplit\(part='val', val_fraction=0.2, ",
        ),
        (
            'cub_224',
            'train_dataloader.dataset.seed',
            1,
            'seed=1.* other .* seed=0',
        ),
        (
            'cub_224',
            'train_dataloader.dataset.dataset.indices',
            100,
            'of indices=100 of CUB.* seed=0.* of CUB',
        ),
        (
            'folder_32',
            'val_dataloader.dataset.dataset.val_fraction',
            0.2,
            'val_fraction=0.1.* other .*val_fraction=0.2',
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
    with pytest.raises(ValueError, match='test_fraction=0.2.*_fraction=0.3'):
        check_splits(cfg, LOADERS)
    # Other images may be cut as they like.
    cfg['test_dataloader']['dataset']['data_root'] = 'others'
    check_splits(cfg, LOADERS)


def test_no_run_begins(tmp_path, monkeypatch):
    for name in ('TRAIN_FOLDER', 'TEST_FOLDER'):
        monkeypatch.setenv(name, str(tmp_path))
    cfg = Config.fromfile(CONFIGS / '_base_' / 'datasets' / 'folder_32.py')
    cfg.val_dataloader.dataset.dataset.seed = 3
    with pytest.raises(ValueError, match='seed=0.* other .*seed=3'):
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
    cfg = {}
    for loader, draw in zip(LOADERS, draws, strict=True):
        dataset = dict(type='SklearnDigits', split=loader.partition('_')[0])
        if draw is not None:
            dataset = dict(type='NWay', dataset=dataset, **draw)
            dataset = dict(type='KShot', dataset=dataset)
        cfg[loader] = dict(dataset=dataset)
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
    with pytest.raises(ValueError, match='of NWay.* other NWay.* of Train'):
        check_splits(cfg, LOADERS)
    inside = dict(cut, part='val', dataset=dict(some, dataset=digits))
    cfg['val_dataloader']['dataset'] = inside
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
    with pytest.raises(ValueError, match='seed=3.* other .*seed=0.* of Sk'):
        check_splits(cfg, LOADERS)
    cfg['val_dataloader']['dataset']['dataset']['seed'] = 3
    check_splits(cfg, LOADERS)


def test_a_union_of_splits_beside_a_part_of_it():
    path = CONFIGS / 'vtab' / 'vptm_beitv2_vtab-kitti.py'
    cfg = Config.fromfile(path)
    check_splits(cfg, LOADERS)
    cfg.train_dataloader.dataset.split = 'train800val200'
    with pytest.raises(ValueError, match="800val200.* other .*'val200'.*--no"):
        check_splits(cfg, LOADERS)
    cfg.val_dataloader = None  # --no-validate
    check_splits(cfg, LOADERS)


def cub(split='train', **options):
    return dict(type='CUB', data_root='cub', split=split, **options)


def part(name, dataset=None, **options):
    dataset = cub() if dataset is None else dataset
    return dict(type='TrainValSplit', part=name, dataset=dataset, **options)


def check(train, val, test=None):
    parts = zip(LOADERS, (train, val, test), strict=True)
    cfg = {k: v and dict(dataset=v) for k, v in parts}
    check_splits({**cfg, **BEST}, LOADERS)


BEST = dict(default_hooks=dict(checkpoint=dict(save_best='auto')))
LOADED = dict(pipeline=[dict(type='PackInputs')], lazy_init=True)
KITTI = dict(type='VTAB1k', task='kitti', data_root='vtab')


@pytest.mark.parametrize(
    ('train', 'val', 'test', 'message'),
    [
        (
            cub(),
            cub('test', **LOADED),
            cub('test'),
            r"val_dataloader and test_dataloader share .*split='test'\), "
            r"the other CUB\(data_root='cub', split='test'\). The best .*--",
        ),
        (
            cub(),
            None,
            dict(type='mmpretrain.CUB', data_root='./cub/'),
            "train_dataloader and test_dataloader .*split='train'.* Give each",
        ),
        (cub(), cub(test_mode=True), None, 'train_dataloader and val_data'),
        (cub(), part('val'), cub('test'), 'train_dataloader and val_dataload'),
        (part('train'), part('train'), None, 'train_dataloader and val_data'),
        (
            dict(
                type='RepeatDataset',
                times=2,
                dataset=dict(
                    type='ConcatDataset',
                    datasets=[dict(KITTI, split='train800val200')],
                ),
            ),
            dict(KITTI, split='val200'),
            None,
            'train800val200.* other .*val200',
        ),
        (
            dict(type='KShot', shots=2, dataset=cub()),
            dict(type='KShot', shots=2, seed=1, dataset=cub()),
            None,
            'seed=0.* of CUB.* other .*seed=1.* of CUB',
        ),
        (cub(indices=100), cub(indices=[99, 200]), None, r'indices=\[99, 200'),
        (
            dict(type='KFoldDataset', dataset=cub(**LOADED), fold=1),
            None,
            dict(type='KFoldDataset', dataset=cub(), fold=1),
            'train_dataloader and test_dataloader',
        ),
        (
            dict(type='KFoldDataset', dataset=cub()),
            dict(type='KFoldDataset', dataset=cub(), fold=1, test_mode=True),
            None,
            'fold=0.* other .*fold=1',
        ),
        (
            cub(),
            dict(type='KFoldDataset', dataset=cub(), test_mode=True),
            None,
            'train_dataloader and val_dataloader',
        ),
        (
            dict(type='CUB', data_root='cub'),
            dict(type='CUB', data_root='cub', test_mode=True),
            None,
            'train_dataloader and val_dataloader',
        ),
        (
            dict(type='CIFAR10', data_root='c', split='test'),
            None,
            dict(type='BGRCIFAR10', data_root='c', split='test', download=0),
            'train_dataloader and test_dataloader',
        ),
        (
            dict(type='CustomDataset', data_root='d', data_prefix='train/'),
            dict(
                type='CustomDataset',
                data_root='d',
                data_prefix=dict(img_path='train'),
                ann_file='',
                with_label=False,
            ),
            None,
            'train_dataloader and val_dataloader',
        ),
    ],
)
def test_images_that_two_loaders_read(train, val, test, message):
    with pytest.raises(ValueError, match=message):
        check(train, val, test)


IMAGENET = dict(type='ImageNet', data_root='imagenet')
FOLD = dict(type='KFoldDataset', dataset=cub(), fold=1)
MNIST = dict(type='MNIST', data_root='mnist')


@pytest.mark.parametrize(
    ('train', 'val', 'test'),
    [
        (
            dict(type='KShot', shots=2, dataset=dict(IMAGENET, split='train')),
            dict(IMAGENET, split='val'),
            None,
        ),
        (
            dict(type='KShot', shots=2, dataset=part('train')),
            part('val'),
            cub('test'),
        ),
        (
            dict(
                type='ConcatDataset',
                datasets=[part('train', part('train')), part('val')],
            ),
            part('val', part('train')),
            cub('test'),
        ),
        (cub(indices=100), cub(indices=[100, 101]), cub(indices=-100)),
        (FOLD, dict(FOLD, test_mode=True), cub('test')),
        # By their old interface.
        (MNIST, None, dict(MNIST, test_mode=True)),
        (
            dict(type='CustomDataset', data_root='one'),
            dict(type='CustomDataset', data_root='two'),
            dict(type='CustomDataset', data_root='one', ann_file='test.txt'),
        ),
        (dict(KITTI, split='train800val200'), None, dict(KITTI, split='test')),
    ],
)
def test_images_of_ones_own(train, val, test):
    check(train, val, test)


def test_only_what_is_read_counts():
    """Testing on the validation images is no choice by them."""
    cfg = {name: dict(dataset=cub('test')) for name in LOADERS}
    check_splits(cfg, ('test_dataloader',))
    del cfg['train_dataloader']
    check_splits(cfg, LOADERS)
    for hooks in (
        BEST,
        dict(custom_hooks=[dict(type='BestCheckpointTestHook')]),
        dict(custom_hooks=[dict(type='mmengine.EarlyStoppingHook')]),
    ):
        with pytest.raises(ValueError, match='val_dataloader and test_data'):
            check_splits({**cfg, **hooks}, LOADERS)


def test_types_may_be_classes():
    cfg = {name: dict(dataset=dict(cub(), type=CUB)) for name in LOADERS[:2]}
    with pytest.raises(ValueError, match=r"reads CUB\(data_root='cub', sp"):
        check_splits(cfg, LOADERS)
