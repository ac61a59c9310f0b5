"""Some classes of a data set, numbered again."""

import shutil

import numpy as np
import pytest
from mmengine.config import Config
from mmpretrain.registry import DATASETS

from vptm_mm.datasets import NWay
from vptm_mm.engine.launch import LOADERS, build_runner

from ..conftest import ROOT
from ..made_datasets import make_image_folder

DIGITS = dict(type='SklearnDigits', split='train')


@pytest.mark.parametrize('serialize_data', [True, False])
def test_images_and_labels_of_the_drawn_classes(serialize_data, log):
    whole = DATASETS.build(dict(DIGITS, pipeline=[]))
    some = NWay(
        dict(DIGITS, pipeline=[], serialize_data=serialize_data), ways=3
    )
    names = some.metainfo['classes']
    assert names == some.CLASSES
    assert len(names) == 3
    assert [name for name in whole.CLASSES if name in names] == list(names)
    expected = [
        (names.index(whole.CLASSES[one['gt_label']]), one['img'])
        for one in whole
        if whole.CLASSES[one['gt_label']] in names
    ]
    assert len(some) == len(expected)
    for index, (label, image) in enumerate(expected):
        one = some[index]
        assert one['gt_label'] == label
        assert one['sample_idx'] == index
        np.testing.assert_array_equal(one['img'], image)
    assert f'3-way: {len(some)} of {len(whole)} images, seed 0' in log[-1]
    assert log[-1].endswith(', '.join(names))


def test_fewer_ways_are_a_part_of_more_and_seeds_differ():
    draws = [set(NWay(DIGITS, ways).metainfo['classes']) for ways in (2, 5)]
    assert draws[0] < draws[1]
    others = {NWay(DIGITS, 2, seed).metainfo['classes'] for seed in range(8)}
    assert len(others) > 1
    assert NWay(DIGITS, 10).metainfo['classes'] == tuple('0123456789')


def test_splits_have_the_same_classes_and_few_images(tmp_path):
    root = str(make_image_folder(tmp_path, images=12))
    parts = [
        NWay(dict(type='ImageFolder', data_root=root, split=part), 2, seed=4)
        for part in ('train', 'val')
    ]
    assert parts[0].metainfo['classes'] == parts[1].metainfo['classes']
    few = DATASETS.build(
        dict(
            type='KShot',
            shots=2,
            dataset=dict(
                type='NWay',
                ways=2,
                seed=4,
                dataset=dict(type='ImageFolder', data_root=root),
            ),
        )
    )
    assert np.bincount(few.get_gt_labels()).tolist() == [2, 2]


@pytest.mark.parametrize('ways', [1, 11, 2.0, None])
def test_bad_ways(ways):
    with pytest.raises(ValueError, match=f'ways={ways} must be .* 2 to 10'):
        NWay(DIGITS, ways=ways)


def test_without_names():
    with pytest.raises(ValueError, match='does not name its classes'):
        NWay(dict(DIGITS, metainfo=dict(classes=[])), ways=2)


def test_without_images():
    names = [str(number) for number in range(1000)]
    with pytest.raises(ValueError, match='SklearnDigits has no image of '):
        NWay(dict(DIGITS, metainfo=dict(classes=names)), ways=2)


def test_two_classes_of_one_name(tmp_path):
    root = str(make_image_folder(tmp_path, images=12))
    names = ['crane', 'crane', 'heron']
    folder = dict(type='CustomDataset', data_root=root)
    some = NWay(dict(folder, metainfo=dict(classes=names)), ways=3)
    assert np.bincount(some.get_gt_labels()).tolist() == [12, 12, 12]
    assert some.metainfo['classes'] == tuple(names)
    numbers = dict(DIGITS, metainfo=dict(classes=list(range(10))))
    assert len(NWay(numbers, 10)) == 1077


def test_a_wrapper_belongs_around_it():
    folds = dict(type='KFoldDataset', dataset=DIGITS, fold=0)
    with pytest.raises(TypeError, match='and KFoldDataset is a wrapper; put'):
        NWay(folds, ways=2)


def test_bad_seed():
    with pytest.raises(ValueError, match='seed=1.0 must be a whole number'):
        NWay(DIGITS, ways=2, seed=1.0)


def test_parts_that_lack_a_class_are_refused(tmp_path):
    """By name they would draw other classes."""
    train = make_image_folder(tmp_path / 'train', images=4, classes=4)
    val = make_image_folder(tmp_path / 'val', images=4, classes=4)
    test = make_image_folder(tmp_path / 'test', images=4, classes=4)
    shutil.rmtree(val / 'class_1')
    cfg = Config.fromfile(ROOT / 'configs' / 'vptm_beitv2-tiny_digits.py')
    for part, root in (('train', train), ('val', val), ('test', test)):
        folder = dict(type='CustomDataset', data_root=str(root))
        folder['pipeline'] = [
            dict(type='LoadCheckedImage'),
            dict(type='Resize', scale=32),
            dict(type='PackInputs'),
        ]
        cfg[f'{part}_dataloader'].dataset = dict(
            type='NWay', ways=2, dataset=folder
        )
    cfg.merge_from_dict(
        {'work_dir': str(tmp_path / 'run'), 'model.head.num_classes': 2}
    )
    runner = build_runner(cfg, LOADERS)
    message = 'from 4 classes of the train data set and from 3 of the val'
    with pytest.raises(ValueError, match=message):
        runner.train()
