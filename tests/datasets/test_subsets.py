"""Validation splits, k-shot and n-way sets of one seed."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmpretrain.registry import DATASETS
from PIL import Image

from vptm_mm.datasets import BGRCIFAR10, KShot, NWay, TrainValSplit
from vptm_mm.engine.launch import LOADERS, build_runner

from ..conftest import ROOT
from ..made_cub import make_cub
from ..made_datasets import (
    make_cifar10,
    make_image_folder,
    write_image,
    write_lines,
)

DIGITS = dict(type='SklearnDigits', split='train')


@pytest.fixture(params=['TrainValSplit', 'KShot', 'NWay'])
def subset(request):
    """Build one of them of a data set."""

    def _subset(dataset, **options):
        own = dict(TrainValSplit=dict(part='val'), KShot=dict(shots=1))
        options.update(own.get(request.param, dict(ways=2)))
        return DATASETS.build(
            dict(type=request.param, dataset=dataset, **options)
        )

    return _subset


def test_a_wrapper_belongs_around_it(subset):
    digits = dict(type='mmpretrain.SklearnDigits')
    twice = dict(type='RepeatDataset', times=2, dataset=digits)
    with pytest.raises(TypeError, match='and RepeatDataset is a wrapper; put'):
        subset(twice)


@pytest.mark.parametrize('seed', [0.0, True])
def test_bad_seeds(subset, seed):
    with pytest.raises(ValueError, match=f'seed={seed!r} must be an int'):
        subset(DIGITS, seed=seed)


def split_of(root, **options):
    cub = dict(type='CUB', data_root=str(root), split='train')
    parts = [
        TrainValSplit(cub, part=part, **options) for part in ('train', 'val')
    ]
    return [
        {part.get_data_info(i)['img_path'] for i in range(len(part))}
        for part in parts
    ]


def test_split_covers_the_training_set_by_class(tmp_path):
    root = make_cub(tmp_path, images_per_class=8)
    train, val = split_of(root, val_fraction=0.25)
    assert not train & val
    assert len(train) == 200 * 3
    assert len(val) == 200
    assert len({path.split('/')[-2] for path in val}) == 200


def test_split_depends_on_the_seed_only(tmp_path, log):
    first = make_cub(tmp_path / 'a', images_per_class=4)
    other = make_cub(tmp_path / 'b', images_per_class=4, shuffled=True)

    def names(root, seed):
        return {
            path[len(str(root)) :] for path in split_of(root, seed=seed)[1]
        }

    assert names(first, 0) == names(other, 0)
    assert names(first, 0) != names(first, 1)
    digests = [line.split()[-1] for line in log if 'val split' in line]
    assert digests[0] == digests[1] != digests[3]
    assert digests[0].isalnum()
    assert len(digests[0]) == 64


def test_split_of_classes_of_one_image(tmp_path):
    root = make_cub(tmp_path, images_per_class=2)  # one of them trains
    cub = dict(type='CUB', data_root=str(root), split='train')
    assert len(TrainValSplit(cub, part='train')) == 200
    message = 'the 200 classes of 200 images have at most one each; a class '
    with pytest.raises(ValueError, match=message):
        TrainValSplit(cub, part='val')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(part='test'), "part='test' must be one of"),
        (dict(part='val', val_fraction=0), 'val_fraction=0 must be a number'),
        (dict(part='val', val_fraction=1), 'val_fraction=1 must be a number'),
        (dict(part='val', val_fraction=float('nan')), 'val_fraction=nan must'),
        (dict(part='val', val_fraction='0.1'), "val_fraction='0.1' must be"),
    ],
)
def test_split_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        TrainValSplit(dict(type='SklearnDigits'), **options)


def test_cifar_is_cut_by_the_number_of_an_image(tmp_path, monkeypatch):
    """It names its folder in another way, and has no paths."""
    monkeypatch.setattr(BGRCIFAR10, '_check_integrity', lambda self: True)
    root = make_cifar10(tmp_path)
    cifar = dict(type='BGRCIFAR10', data_root=str(root), split='train')
    parts = [
        TrainValSplit(cifar, part=part, val_fraction=0.4)
        for part in ('train', 'val')
    ]
    assert sum(map(len, parts)) == len(DATASETS.build(cifar))


def test_whole_paths_below_a_folder_that_is_not(tmp_path, monkeypatch):
    """As if the list had named them as usual."""
    root = make_image_folder(tmp_path)
    names = sorted(p.relative_to(tmp_path) for p in root.rglob('*.jpg'))
    found = []
    monkeypatch.chdir(tmp_path.parent)
    for folder in '', tmp_path, tmp_path / 'images' / '..':
        lines = [
            f'{(folder or Path()) / name} {name.parts[1][-1]}'
            for name in names
        ]
        write_lines(tmp_path / 'list.txt', lines)
        whole = dict(
            type='CustomDataset',
            data_root=tmp_path.name,
            ann_file='list.txt',
        )
        val = TrainValSplit(whole, part='val')
        paths = [val.get_data_info(i)['img_path'] for i in range(len(val))]
        found.append([Path(path).resolve() for path in paths])
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize('folder', ['', 'elsewhere'])
def test_images_outside_of_the_image_folder(tmp_path, monkeypatch, folder):
    """Neither the working directory nor the place of the files counts."""

    def cut(root):
        images = make_image_folder(root)
        lines = [
            f'{path} {path.parent.name[-1]}' for path in images.rglob('*.jpg')
        ]
        write_lines(root / 'list.txt', sorted(lines))
        whole = dict(
            type='CustomDataset',
            data_root=folder and str(root.parent / folder),
            ann_file=str(root / 'list.txt'),
        )
        val = TrainValSplit(whole, part='val', val_fraction=0.4)
        return [
            Path(val.get_data_info(i)['img_path']).relative_to(root)
            for i in range(len(val))
        ]

    found = []
    for place in tmp_path / 'a', tmp_path / 'b' / 'deeper', tmp_path / 'c':
        monkeypatch.chdir(tmp_path)
        found.append(cut(place))
    monkeypatch.chdir(tmp_path / 'a' / 'images')
    found.append(cut(tmp_path / 'd'))
    assert len(found[0]) == 12
    assert all(one == found[0] for one in found[1:])


def folder_of(root, **options) -> dict:
    return dict(type='ImageFolder', data_root=str(root), **options)


def paths(dataset) -> list[str]:
    return [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]


@pytest.mark.parametrize('shots', [1, 16])
def test_as_many_of_each_class(shots):
    whole = dict(type='SklearnDigits', split='train')
    few = KShot(whole, shots=shots)
    assert np.bincount(few.get_gt_labels()).tolist() == [shots] * 10
    assert few.metainfo['classes'] == tuple('0123456789')


def test_fewer_shots_are_a_part_of_more(tmp_path, log):
    root = make_image_folder(tmp_path, images=12)
    sets = [set(paths(KShot(folder_of(root), shots=k))) for k in (1, 2, 4)]
    assert sets[0] < sets[1] < sets[2]
    other = KShot(folder_of(root), shots=4, seed=1)
    assert set(paths(other)) != sets[2]
    lines = [line for line in log if '-shot: ' in line]
    assert lines[2].startswith('4-shot: 12 of 27 images, seed 0, sha256')
    assert lines[2].split()[-1] != lines[3].split()[-1]


def test_a_class_with_too_few_images_is_named(tmp_path):
    root = make_image_folder(tmp_path, images=20)
    for number in range(5):
        (root / 'class_1' / f'{number}.jpg').unlink()
    train = folder_of(root)
    assert len(KShot(train, shots=10)) == 30
    message = (
        r'class 1 \(class_1\) has 10 images, fewer than shots=12; so have 1 '
        r'of 3 classes. The smallest class has 10: take no more'
    )
    with pytest.raises(ValueError, match=message):
        KShot(train, shots=12)


@pytest.mark.parametrize('shots', [0, 1.5])
def test_bad_shots(shots):
    with pytest.raises(ValueError, match=f'shots={shots} must be an int'):
        KShot(dict(type='SklearnDigits'), shots=shots)


def test_an_image_that_is_listed_twice_is_one(tmp_path):
    root = make_image_folder(tmp_path, images=10)
    files = sorted(root.rglob('*.jpg'))
    lines = [
        f'{path.relative_to(root).as_posix()} {label}'
        for label, name in enumerate(sorted({p.parent.name for p in files}))
        for path in files
        if path.parent.name == name
    ]
    (tmp_path / 'list.txt').write_text('\n'.join(lines * 2))
    whole = dict(
        type='CustomDataset',
        data_root=str(tmp_path),
        data_prefix=root.name,
        ann_file='list.txt',
    )
    train, val = (
        DATASETS.build(dict(type='TrainValSplit', part=part, dataset=whole))
        for part in ('train', 'val')
    )
    assert len(train) + len(val) == 60
    assert not set(paths(train)) & set(paths(val))
    assert len(set(paths(KShot(whole, shots=10)))) == 30
    with pytest.raises(ValueError, match='has 10 images, fewer than'):
        KShot(whole, shots=11)


def test_an_image_of_two_classes_counts_in_both(tmp_path):
    for name in 'abc':
        Image.new('RGB', (8, 8)).save(tmp_path / f'{name}.jpg')
    (tmp_path / 'list.txt').write_text('a.jpg 0\nb.jpg 0\na.jpg 1\nc.jpg 1')
    whole = dict(
        type='CustomDataset', data_root=str(tmp_path), ann_file='list.txt'
    )
    for seed in range(3):
        few = KShot(whole, shots=1, seed=seed)
        assert np.bincount(few.get_gt_labels()).tolist() == [1, 1]


def test_a_name_that_is_no_text(tmp_path):
    image = make_image_folder(tmp_path, images=10) / 'class_0' / '0.jpg'
    image.rename(os.fsdecode(os.fsencode(image.parent) + b'/\xff.jpg'))
    few = KShot(folder_of(tmp_path / 'images'), shots=7)
    assert any('\udcff' in path for path in paths(few))


@pytest.mark.parametrize('serialize_data', [True, False])
def test_images_and_labels_of_the_sampled_classes(serialize_data, log):
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
    found = [set(NWay(DIGITS, ways).metainfo['classes']) for ways in (2, 5)]
    assert found[0] < found[1]
    others = {NWay(DIGITS, 2, seed).metainfo['classes'] for seed in range(3)}
    assert len(others) > 1
    assert NWay(DIGITS, 10).metainfo['classes'] == tuple('0123456789')


@pytest.mark.parametrize('ways', [1, 11, 2.0])
def test_bad_ways(ways):
    with pytest.raises(ValueError, match=f'ways={ways} must be an int in 2'):
        NWay(DIGITS, ways=ways)


def test_without_names():
    with pytest.raises(ValueError, match='does not name its classes'):
        NWay(dict(DIGITS, metainfo=dict(classes=[])), ways=2)


def test_two_classes_of_one_name(tmp_path):
    root = str(make_image_folder(tmp_path, images=12))
    names = ['crane', 'crane', 'heron']
    folder = dict(type='CustomDataset', data_root=root)
    some = NWay(dict(folder, metainfo=dict(classes=names)), ways=3)
    assert np.bincount(some.get_gt_labels()).tolist() == [12, 12, 12]
    assert some.metainfo['classes'] == tuple(names)
    numbers = dict(DIGITS, metainfo=dict(classes=list(range(10))))
    assert len(NWay(numbers, 10)) == 1077


def test_parts_that_lack_a_class_are_refused(tmp_path):
    """By name they would be other classes."""
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
    message = 'NWay samples .* train data set has 4 classes, the val data set'
    with pytest.raises(ValueError, match=message):
        runner.train()


def test_images_of_several_labels(tmp_path):
    write_image(tmp_path / 'a.jpg')
    images = dict(img_path='a.jpg', gt_label=[0, 2])
    content = dict(metainfo=dict(classes=['x', 'y', 'z']), data_list=[images])
    (tmp_path / 'list.json').write_text(json.dumps(content))
    cfg = dict(
        type='MultiLabelDataset',
        data_root=str(tmp_path),
        ann_file='list.json',
    )
    with pytest.raises(
        ValueError, match=r'a.jpg of MultiLabel.* \[0, 2\]; what'
    ):
        TrainValSplit(cfg, part='val')


def test_a_label_beyond_the_classes(tmp_path):
    root = make_image_folder(tmp_path)
    lines = [
        f'{path.relative_to(root)} {path.parent.name[-1]}'
        for path in root.rglob('*.jpg')
    ]
    write_lines(root / 'list.txt', sorted(lines))
    cfg = dict(
        type='CustomDataset',
        data_root=str(root),
        ann_file='list.txt',
        classes=['a', 'b'],
    )
    with pytest.raises(
        ValueError, match='images of label 2, which is none of'
    ):
        KShot(cfg, shots=1)
