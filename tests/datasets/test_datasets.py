"""Digits, the validation split, block masks, guides."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmpretrain.registry import DATASETS
from sklearn.datasets import load_digits

from vptm_mm.datasets import (
    BGRCIFAR10,
    BlockMaskGenerator,
    SklearnDigits,
    TrainValSplit,
    check_data_roots,
)

from ..made_cub import make_cub
from ..made_datasets import (
    make_cifar10,
    make_image_folder,
    write_image,
    write_lines,
)


def pixels(dataset) -> set[bytes]:
    return {dataset[i]['img'].tobytes() for i in range(len(dataset))}


def test_digits_are_all_there_once():
    parts = {s: SklearnDigits(split=s) for s in ('train', 'val', 'test')}
    sizes = {name: len(part) for name, part in parts.items()}
    assert sizes == dict(train=1077, val=360, test=360)
    labels = np.concatenate([p.get_gt_labels() for p in parts.values()])
    assert np.array_equal(
        np.bincount(labels), np.bincount(load_digits().target)
    )
    for part in parts.values():
        share = np.bincount(part.get_gt_labels()) / len(part)
        assert np.abs(share - 0.1).max() < 0.005
    assert not pixels(parts['train']) & pixels(parts['test'])
    assert not pixels(parts['val']) & pixels(parts['test'])
    assert parts['train'][0]['img'].shape == (8, 8, 3)
    assert parts['train'].metainfo['classes'] == tuple('0123456789')
    assert 'Split: \ttrain' in repr(parts['train'])


def test_digits_are_the_same_every_time():
    first, second = SklearnDigits(split='val'), SklearnDigits(split='val')
    assert np.array_equal(first.get_gt_labels(), second.get_gt_labels())
    assert pixels(first) == pixels(second)


def test_digits_name_their_list(log):
    for split in ('val', 'test', 'val'):
        len(SklearnDigits(split=split))
    lines = [line for line in log if 'split: ' in line]
    assert lines[0].startswith(
        'val split: 360 of 1797 images, seed 0, sha256 of the list bb9c7e'
    )
    assert lines[0] == lines[2]
    assert lines[0].split()[-1] != lines[1].split()[-1]


def test_digits_unknown_split():
    with pytest.raises(ValueError, match="split='dev' must be one of"):
        SklearnDigits(split='dev')


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
    first = make_cub(tmp_path / 'a', images_per_class=8)
    other = make_cub(tmp_path / 'b', images_per_class=8, shuffled=True)

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


def test_split_keeps_one_training_image(tmp_path):
    root = make_cub(tmp_path, images_per_class=4)  # two of them train
    train, val = split_of(root, val_fraction=0.99)
    assert len(train) == len(val) == 200


def test_split_of_classes_of_one_image(tmp_path):
    root = make_cub(tmp_path, images_per_class=2)  # one of them trains
    cub = dict(type='CUB', data_root=str(root), split='train')
    assert len(TrainValSplit(cub, part='train')) == 200
    message = 'the 200 classes of 200 images have at most one each; a class '
    with pytest.raises(ValueError, match=message):
        TrainValSplit(cub, part='val')


def test_a_wrapper_belongs_around_the_split():
    digits = dict(type='mmpretrain.SklearnDigits')
    both = dict(type='ConcatDataset', datasets=[digits, digits])
    with pytest.raises(TypeError, match='and ConcatDataset is a wrapper; put'):
        TrainValSplit(both, part='val')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(part='test'), "part='test' must be one of"),
        (dict(part='val', val_fraction=0), 'val_fraction=0 must be a number'),
        (dict(part='val', val_fraction=1), 'val_fraction=1 must be a number'),
        (dict(part='val', val_fraction=float('nan')), 'val_fraction=nan must'),
        (dict(part='val', val_fraction='0.1'), "val_fraction='0.1' must be"),
        # Equal to 0 for who compares the parts, and another cut.
        (dict(part='val', seed=0.0), 'seed=0.0 must be a whole number'),
        (dict(part='val', seed=None), 'seed=None must be a whole number'),
    ],
)
def test_split_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        TrainValSplit(dict(type='SklearnDigits'), **options)


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


def test_split_of_images_without_a_path():
    parts = [
        TrainValSplit(dict(type='SklearnDigits', split='train'), part=part)
        for part in ('train', 'val')
    ]
    assert len(parts[0]) + len(parts[1]) == 1077
    assert not pixels(parts[0]) & pixels(parts[1])


@pytest.mark.parametrize(('side', 'count'), [(4, 6), (14, 75)])
def test_block_masks_reach_every_patch(side, count):
    np.random.seed(0)
    generator = BlockMaskGenerator(
        input_size=(side, side), num_masking_patches=count, min_num_patches=1
    )
    masks = [generator.transform({})['mask'] for _ in range(200)]
    assert all(mask.sum() == count for mask in masks)
    assert all(mask.shape == (side, side) for mask in masks)
    assert np.all(np.sum(masks, axis=0) > 0)


def test_missing_data_set_says_where_and_how(tmp_path):
    cfg = [
        dict(
            dataset=dict(
                type='TrainValSplit',
                dataset=dict(type='CUB', data_root=str(tmp_path / 'gone')),
            )
        )
    ]
    with pytest.raises(FileNotFoundError) as error:
        check_data_roots(cfg)
    text = str(error.value)
    assert f'no {tmp_path / "gone"}' in text
    assert 'vision.caltech.edu' in text
    assert 'train_test_split.txt' in text
    assert 'CUB_ROOT=PATH' in text


def test_incomplete_data_set_names_the_file(tmp_path):
    root = make_cub(tmp_path, images_per_class=2)
    (root / 'images.txt').unlink()
    with pytest.raises(FileNotFoundError, match=r'no .*images\.txt'):
        check_data_roots(dict(type='CUB', data_root=str(root)))


def test_complete_or_unknown_data_sets_pass(tmp_path):
    root = make_cub(tmp_path, images_per_class=2)
    check_data_roots(dict(type='CUB', data_root=str(root)))
    check_data_roots(dict(type='Mine', data_root='nowhere'))
    check_data_roots(None)
