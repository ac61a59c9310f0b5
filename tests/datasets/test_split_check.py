"""Data loaders of one run that share images."""

import pytest
from mmengine.config import Config
from mmpretrain.datasets import CustomDataset

from vptm_mm.datasets.split_check import check_splits
from vptm_mm.engine.launch import LOADERS, build_runner

from ..conftest import ROOT
from ..made_datasets import make_image_folder, make_vtab, write_image

CONFIGS = ROOT / 'configs'
BEST = dict(default_hooks=dict(checkpoint=dict(save_best='auto')))
DIGITS = dict(type='SklearnDigits', split='train')


def check(train, val, test=None):
    parts = zip(LOADERS, (train, val, test), strict=True)
    cfg = {k: v and dict(dataset=v) for k, v in parts}
    check_splits({**cfg, **BEST}, LOADERS)


def part(name, dataset=DIGITS, **options):
    return dict(type='TrainValSplit', part=name, dataset=dataset, **options)


@pytest.fixture
def images(tmp_path, monkeypatch):
    """``train`` and ``test`` of two classes; paths begin at its folder."""
    for folder in ('train', 'test'):
        make_image_folder(tmp_path / folder, classes=2, images=10)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def folder(root, **options):
    return dict(type='CustomDataset', data_root=str(root), **options)


def test_one_folder_by_several_names(images):
    train = folder('train/images')
    check(train, None, folder('test/images'))
    (images / 'link').symlink_to(images / 'train')
    for other in (
        folder('train', data_prefix='images'),
        folder(images / 'train' / 'images', lazy_init=True),
        folder('link/images/class_0', with_label=False),
        dict(train, type=CustomDataset),
        dict(type='ConcatDataset', datasets=[folder('test/images'), train]),
    ):
        message = 'train_dataloader and test_dataloader share images: .* of '
        with pytest.raises(ValueError, match=message):
            check(train, None, other)


def test_one_image_that_is_linked_from_both(images):
    link = images / 'test' / 'images' / 'class_1' / 'again.jpg'
    target = next((images / 'train').rglob('*.jpg'))
    link.symlink_to(target)
    message = rf'val_dataloader share images: 1 of .*such as {target}. Give e'
    with pytest.raises(ValueError, match=message):
        check(folder('train/images'), folder('test/images'))


@pytest.mark.parametrize(
    ('train', 'val'),
    [
        (part('train'), part('val', val_fraction=0.2)),
        (dict(DIGITS, indices=100), dict(DIGITS, indices=[99, 200])),
        (
            dict(type='KFoldDataset', dataset=DIGITS),
            dict(type='KFoldDataset', dataset=DIGITS, fold=1, test_mode=True),
        ),
        (
            part(
                'train', dict(type='KShot', shots=16, seed=3, dataset=DIGITS)
            ),
            part('val', dict(type='KShot', shots=16, dataset=DIGITS)),
        ),
    ],
)
def test_parts_that_are_not_cut_alike(train, val):
    message = 'train_dataloader and val_dataloader share .*--no-validate'
    with pytest.raises(ValueError, match=message):
        check(train, val)
    check(train, None)  # --no-validate


@pytest.mark.parametrize(
    ('train', 'val', 'test'),
    [
        (part('train'), part('val'), dict(DIGITS, split='test')),
        (dict(type='KShot', shots=2, dataset=part('train')), part('val'), {}),
        (
            dict(
                type='ConcatDataset',
                datasets=[part('train', part('train')), part('val')],
            ),
            part('val', part('train')),
            {},
        ),
        (
            dict(type='KFoldDataset', dataset=DIGITS, fold=1),
            dict(type='KFoldDataset', dataset=DIGITS, fold=1, test_mode=True),
            {},
        ),
    ],
)
def test_parts_of_their_own(train, val, test):
    check(train, val, test or None)


def test_only_what_chooses_counts():
    """Testing on the validation images does not choose by them."""
    test = dict(dataset=dict(DIGITS, split='test'))
    cfg = dict(val_dataloader=test, test_dataloader=test)
    check_splits(cfg, LOADERS)
    check_splits({**cfg, **BEST}, ('test_dataloader',))
    for hooks in (
        BEST,
        dict(default_hooks=dict(stop=dict(type='EarlyStoppingHook'))),
        dict(custom_hooks=[dict(type='mmengine.EarlyStoppingHook')]),
    ):
        with pytest.raises(ValueError, match='The best checkpoint would be'):
            check_splits({**cfg, **hooks}, LOADERS)


def test_a_union_of_splits_beside_a_part_of_it(tmp_path):
    root = str(make_vtab(tmp_path, ['kitti']))
    kitti = dict(type='VTAB1k', task='kitti', data_root=root)
    val, test = dict(kitti, split='val200'), dict(kitti, split='test')
    check(dict(kitti, split='train800'), val, test)
    with pytest.raises(ValueError, match='train_dataloader and val_dataload'):
        check(dict(kitti, split='train800val200'), val, test)


def test_no_run_begins(images, monkeypatch, log):
    config = CONFIGS / 'vptm_beitv2-mini_folder.py'
    monkeypatch.setenv('IMAGE_FOLDER', 'train/images')
    cfg = Config.fromfile(config)
    cfg.launcher, cfg.work_dir = 'none', 'run'
    build_runner(cfg, LOADERS)
    # What is only looked at is not said to be cut.
    assert not [line for line in log if 'split:' in line]
    cfg.val_dataloader.dataset.seed = 3
    with pytest.raises(ValueError, match='share images'):
        build_runner(cfg, LOADERS)


def test_data_sets_of_another_library_are_left_alone():
    check_splits({'train_dataloader': dict(dataset=[write_image])}, LOADERS)
