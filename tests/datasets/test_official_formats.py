"""NABirds, Stanford Dogs and VTAB-1k: official folders, good and broken."""

import codecs
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from vptm_mm.datasets import NABirds, StanfordDogs, VTAB1k

from ..made_datasets import (
    cells,
    make_nabirds,
    make_stanford_dogs,
    make_vtab,
    write_lines,
)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """The complete folders, never changed."""
    folder = tmp_path_factory.mktemp('whole')
    return {
        NABirds: make_nabirds(folder),
        StanfordDogs: make_stanford_dogs(folder),
        VTAB1k: make_vtab(folder, ('kitti', 'dtd')),
    }


@pytest.fixture
def copied(whole, tmp_path):
    """Copy a folder for a test that breaks it."""

    def _copied(cls) -> Path:
        return Path(shutil.copytree(whole[cls], tmp_path / 'copy'))

    return _copied


def edit(path: Path, change) -> None:
    write_lines(path, change(path.read_text().splitlines()))


def names_of(dataset) -> list[str]:
    return [
        Path(dataset.get_data_info(i)['img_path']).name
        for i in range(len(dataset))
    ]


def test_nabirds(whole):
    train, test = (
        NABirds(data_root=str(whole[NABirds]), split=split)
        for split in ('train', 'test')
    )
    assert len(train) == 4 + 4 + 553
    assert len(test) == 2 + 2
    assert np.bincount(train.get_gt_labels()).tolist() == [4, 4] + [1] * 553
    assert test.get_gt_labels().tolist() == [0, 0, 1, 1]
    # Ids 5, 7, 9, ...; classes.txt names those between them, too.
    classes = train.metainfo['classes']
    assert classes == test.metainfo['classes']
    assert classes[:2] == ('Bird 5 (Adult Male)', 'Bird 7 (Adult Male)')
    assert len(classes) == NABirds.NUM_CLASSES == 555
    assert not set(names_of(train)) & set(names_of(test))
    # The folder is that of the class: a path of its own id.
    for dataset in (train, test):
        for i in range(len(dataset)):
            info = dataset.get_data_info(i)
            folder = Path(info['img_path']).parent.name
            assert int(folder) == 2 * info['gt_label'] + 5
    assert test.test_mode
    assert not train.test_mode


@pytest.mark.parametrize(
    ('name', 'change', 'message'),
    [
        (
            'images.txt',
            lambda lines: [*lines, 'no-path'],
            r"images\.txt, line 566: 'no-path' must have two parts",
        ),
        ('images.txt', lambda _: [], 'images.txt names no image for train'),
        (
            'image_class_labels.txt',
            lambda lines: lines[:-3],
            "do not fit together: '0000.* has no place in another",
        ),
        (
            'image_class_labels.txt',
            lambda lines: [lines[0].replace(' 1113', ' 5'), *lines[1:]],
            r'names 554 classes; NABirds has 555',
        ),
        (
            'train_test_split.txt',
            lambda lines: [lines[0][:-1] + '2', *lines[1:]],
            "together: '2' of one has no place",
        ),
    ],
)
def test_nabirds_broken(copied, name, change, message):
    root = copied(NABirds)
    edit(root / name, change)
    with pytest.raises(ValueError, match=message):
        NABirds(data_root=str(root))


def test_nabirds_missing_files(copied):
    root = copied(NABirds)
    shutil.rmtree(root / 'images' / '0005')
    for number in range(9, 15, 2):
        shutil.rmtree(root / 'images' / f'{number:04d}')
    with pytest.raises(FileNotFoundError, match='7 of 561 images') as error:
        NABirds(data_root=str(root), split='train')
    assert str(error.value).count('.jpg') == 5
    assert f'{root}/images/0005/' in str(error.value)
    (root / 'classes.txt').unlink()
    with pytest.raises(FileNotFoundError, match=r'No such .*/classes\.txt'):
        NABirds(data_root=str(root))


def test_stanford_dogs(whole):
    train, test = (
        StanfordDogs(data_root=str(whole[StanfordDogs]), split=split)
        for split in ('train', 'test')
    )
    assert len(train) == 4 + 4 + 118
    assert test.get_gt_labels().tolist() == list(range(120))
    classes = train.metainfo['classes']
    assert classes == test.metainfo['classes']
    assert classes[:2] == ('Breed-1', 'Breed-2')
    assert len(classes) == StanfordDogs.NUM_CLASSES == 120
    assert names_of(test)[-1] == 'n00000120_test0.jpg'
    assert test.test_mode


def change_list(root: Path, **changes) -> Path:
    path = root / 'lists' / 'train_list.mat'
    content = loadmat(path)
    content = {k: v for k, v in content.items() if not k.startswith('__')}
    for key, change in changes.items():
        content[key] = change(content[key])
    savemat(path, {k: v for k, v in content.items() if v is not None})
    return path


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (
            dict(labels=lambda _: None),
            "not a list of Stanford Dogs: KeyError: 'lab",
        ),
        (dict(labels=lambda a: a / 2), 'not give each of 120 folders a label'),
        (
            dict(file_list=lambda a: cells(['n1-A/1.jpg'] * len(a))),
            'not give each of 1 folders a label',
        ),
    ],
)
def test_stanford_dogs_broken(copied, changes, message):
    root = copied(StanfordDogs)
    change_list(root, **changes)
    with pytest.raises(ValueError, match=message):
        StanfordDogs(data_root=str(root))


def test_a_damaged_list_of_stanford_dogs(copied):
    root = copied(StanfordDogs)
    path = root / 'lists' / 'train_list.mat'
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(
        ValueError, match=r'train_list\.mat is not a list of Stanford'
    ):
        StanfordDogs(data_root=str(root))
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r'No such .*train_list\.mat'):
        StanfordDogs(data_root=str(root))


def test_vtab(whole):
    sizes = {}
    for split in ('train800', 'val200', 'train800val200', 'test'):
        dataset = VTAB1k('kitti', split, data_root=str(whole[VTAB1k]))
        sizes[split] = len(dataset)
        assert set(dataset.get_gt_labels()) == {0, 3}
        assert dataset.metainfo['classes'] == ('0', '1', '2', '3')
        assert dataset.test_mode == (split == 'test')
        assert Path(dataset.get_data_info(0)['img_path']).is_file()
    assert sizes == dict(train800=4, val200=4, train800val200=8, test=4)
    assert len(VTAB1k.TASKS) == 19


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ('images/test/000000.jpg', 'line 5: .* must have two parts'),
        ('images/test/000000.jpg 4', "label '4' of images/test/000000.jpg"),
        ('images/test/000000.jpg -1', 'must be an int from 0 to 3'),
    ],
)
def test_vtab_broken(copied, line, message):
    root = copied(VTAB1k)
    edit(root / 'kitti' / 'test.txt', lambda lines: [*lines, line])
    with pytest.raises(ValueError, match=message):
        VTAB1k('kitti', 'test', data_root=str(root))


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda: NABirds('a', split='val'), "split='val' must be one of"),
        (lambda: StanfordDogs('a', split='x'), "split='x' must be one of"),
        (lambda: VTAB1k('kitti', 'train'), "split='train' must be one of"),
        (lambda: VTAB1k('cars'), "task='cars' must be one of caltech101, ci"),
    ],
)
def test_unknown_options(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_classes_without_names(whole):
    options = dict(data_root=str(whole[VTAB1k]))
    for metainfo in None, dict(source='here'), dict(classes=None):
        kitti = VTAB1k('kitti', metainfo=metainfo, **options)
        assert kitti.metainfo['classes'] == ('0', '1', '2', '3')


@pytest.mark.parametrize(
    ('cls', 'count'), [(NABirds, 555), (StanfordDogs, 120), (VTAB1k, 4)]
)
def test_names_of_ones_own(whole, cls, count):
    task = dict(task='kitti') if cls is VTAB1k else {}
    options = dict(task, data_root=str(whole[cls]))
    names = tuple(f'mine {number}' for number in range(count))
    assert cls(classes=names, **options).metainfo['classes'] == names
    with pytest.raises(ValueError, match=f'are 2; the data set has {count}'):
        cls(classes=['near', 'far'], **options)


def test_lists_from_other_systems(copied):
    """A mark at the start, CRLF, and a name that is not UTF-8."""
    root = copied(VTAB1k)
    index = root / 'kitti' / 'test.txt'
    old = root / 'kitti' / 'images' / 'test' / '000000.jpg'
    old.rename(os.fsdecode(bytes(old.parent) + b'/caf\xe9\x0b.jpg'))
    text = index.read_bytes().replace(b'000000.jpg', b'caf\xe9\x0b.jpg')
    index.write_bytes(codecs.BOM_UTF8 + text.replace(b'\n', b'\r\n'))
    assert len(VTAB1k('kitti', 'test', data_root=str(root))) == 4


def test_the_home_folder(whole, monkeypatch):
    root = whole[VTAB1k]
    monkeypatch.setenv('HOME', str(root.parent))
    assert len(VTAB1k('kitti', data_root=f'~/{root.name}')) > 0
