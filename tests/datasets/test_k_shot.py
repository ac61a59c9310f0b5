"""k-shot sets; that splits are the same in every process."""

import os
import subprocess
import sys

import numpy as np
import pytest
from mmpretrain.registry import DATASETS
from PIL import Image

from vptm_mm.datasets import KShot

from ..conftest import ROOT
from ..made_datasets import make_image_folder, write_lines


def folder_of(root, **options) -> dict:
    return dict(type='ImageFolder', data_root=str(root), **options)


def paths(dataset) -> list[str]:
    return [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]


@pytest.mark.parametrize('shots', [1, 2, 4, 8, 16])
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


@pytest.mark.parametrize('shots', [0, -1, 1.5, None])
def test_bad_shots(shots):
    with pytest.raises(ValueError, match=f'shots={shots} must be a whole'):
        KShot(dict(type='SklearnDigits'), shots=shots)


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
    with pytest.raises(ValueError, match='label 2 is none of the 2 classes'):
        KShot(cfg, shots=1)


@pytest.mark.parametrize('seed', [0.0, '1', True, None])
def test_bad_seeds(tmp_path, seed):
    with pytest.raises(ValueError, match=f'seed={seed!r} must be a whole'):
        KShot(dict(type='SklearnDigits', split='train'), shots=1, seed=seed)


PROGRAM = """
import sys
from tests.datasets.test_k_shot import drawn
print('drawn', *drawn(sys.argv[1]))
"""


def drawn(root: str) -> list[str]:
    """Images of a cut folder, of a split of it, of a k-shot set of that."""
    folder = folder_of(root)
    split = dict(type='TrainValSplit', part='train', dataset=folder, seed=3)
    few = dict(type='KShot', shots=2, seed=5, dataset=split)
    return [
        os.path.relpath(path, root)
        for cfg in (folder, split, few)
        for path in paths(DATASETS.build(cfg))
    ]


def test_the_same_images_in_every_process(tmp_path):
    """Whatever the hash seed, the place and the order of the files."""
    here = make_image_folder(tmp_path / 'here')
    there = tmp_path / 'there' / 'images'
    for path in sorted(here.rglob('*.jpg'), reverse=True):
        copy = there / path.relative_to(here)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    result = subprocess.run(
        [sys.executable, '-c', PROGRAM, str(there)],
        env={
            **os.environ,
            'PYTHONHASHSEED': '1',
            'PYTHONPATH': str(ROOT),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = (x for x in result.stdout.splitlines() if x[:5] == 'drawn')
    # 7 of 10 images train; TrainValSplit leaves 6; 2 shots.
    assert len(line.split()) == 1 + 3 * (7 + 6 + 2)
    assert line.split()[1:] == drawn(str(here))


def test_k_shot_over_a_split_takes_no_validation_image(tmp_path):
    root = make_image_folder(tmp_path, images=20)

    def split(part):
        return dict(type='TrainValSplit', part=part, dataset=folder_of(root))

    few = set(paths(KShot(split('train'), shots=8)))
    assert not few & set(paths(DATASETS.build(split('val'))))


def test_a_set_is_no_mixture_of_earlier_ones(tmp_path):
    """The host copies data sets with a memory that outlives them."""
    folder = folder_of(
        make_image_folder(tmp_path),
        serialize_data=False,  # faster
        pipeline=[
            dict(type='ResizeEdge', scale=18),
            dict(type='CenterCrop', crop_size=16),
            dict(type='PackInputs'),
        ],
    )
    for number in range(200):
        part = ('train', 'val')[number % 2]
        split = dict(type='TrainValSplit', dataset=folder, part=part)
        for images in (DATASETS.build(split), KShot(split, shots=1)):
            steps = images.pipeline.transforms
            assert [type(step).__name__ for step in steps] == [
                'ResizeEdge',
                'CenterCrop',
                'PackInputs',
            ]


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
    for seed in range(8):
        few = KShot(whole, shots=1, seed=seed)
        assert np.bincount(few.get_gt_labels()).tolist() == [1, 1]


def test_a_wrapper_belongs_around_it():
    digits = dict(type='mmpretrain.SklearnDigits')
    twice = dict(type='RepeatDataset', times=2, dataset=digits)
    with pytest.raises(TypeError, match='and RepeatDataset is a wrapper; put'):
        KShot(twice, shots=1)


def test_a_name_that_is_no_text(tmp_path):
    image = make_image_folder(tmp_path, images=10) / 'class_0' / '0.jpg'
    image.rename(os.fsdecode(os.fsencode(image.parent) + b'/\xff.jpg'))
    few = KShot(folder_of(tmp_path / 'images'), shots=7)
    assert any('\udcff' in path for path in paths(few))


def test_images_without_labels_are_no_classes(tmp_path):
    Image.new('RGB', (8, 8)).save(tmp_path / 'a.png')
    images = dict(
        type='CustomDataset', data_root=str(tmp_path), with_label=False
    )
    with pytest.raises(ValueError, match='1 images of CustomDataset have no'):
        DATASETS.build(dict(type='KShot', shots=1, dataset=images))
