"""Images of one's own: two layouts, and what is not clear is refused."""

from pathlib import Path

import pytest

from vptm_mm.datasets import ImageFolder, count_classes
from vptm_mm.datasets.image_folder import split_of

from ..made_datasets import make_image_folder, write_image

SPLITS = ('train', 'val', 'test')


def parts(root, **options) -> dict[str, set[str]]:
    datasets = {s: ImageFolder(str(root), split=s, **options) for s in SPLITS}
    return {
        split: {
            Path(dataset.get_data_info(i)['img_path'])
            .relative_to(root)
            .as_posix()
            for i in range(len(dataset))
        }
        for split, dataset in datasets.items()
    }


def fill(root: Path, *folders: str, images: int = 4) -> Path:
    for folder in folders:
        for number in range(images):
            write_image(root / folder / f'{number}.jpg')
    return root


def test_class_folders_are_cut_in_three(tmp_path, log):
    root = make_image_folder(tmp_path, classes=3, images=10)
    found = parts(root)
    assert {k: len(v) for k, v in found.items()} == dict(
        train=21, val=3, test=6
    )
    assert len(set.union(*found.values())) == 30
    assert all('class_1' in str(names) for names in found.values())
    assert parts(root, seed=1)['val'] != found['val']
    lines = [line for line in log if line.startswith('val split: 3 of 30')]
    assert len({line.split()[-1] for line in lines}) == 2
    dataset = ImageFolder(str(root), split='test')
    assert dataset.metainfo['classes'] == ('class_0', 'class_1', 'class_2')
    assert dataset.test_mode


@pytest.mark.parametrize('images', [3, 6])
def test_every_part_gets_an_image(tmp_path, images):
    root = make_image_folder(tmp_path, classes=2, images=images)
    found = parts(root, val_fraction=0.45, test_fraction=0.45)
    assert min(len(names) for names in found.values()) >= 2


def test_split_folders_are_taken_as_they_are(tmp_path):
    root = fill(tmp_path, 'train/cat', 'train/dog', 'test/cat', 'val/dog')
    found = parts(root)
    assert found['train'] == {
        f'train/{name}/{n}.jpg' for name in ('cat', 'dog') for n in range(4)
    }
    assert found['val'] == {f'val/dog/{n}.jpg' for n in range(4)}
    assert found['test'] == {f'test/cat/{n}.jpg' for n in range(4)}
    # A label is that of the training folders, wherever the image is.
    val = ImageFolder(str(root), split='val')
    assert set(val.get_gt_labels()) == {1}
    assert val.metainfo['classes'] == ('cat', 'dog')


@pytest.mark.parametrize(
    ('folders', 'message'),
    [
        (('cat',), 'holds cat; put a folder of images into it for each class'),
        (('train', 'test'), 'holds test, train, which name splits'),
        (
            ('train/cat', 'train/dog', 'test/cat', 'extra/cat'),
            'extra, test, train; of these test, train name splits and hold',
        ),
        (
            ('train/cat', 'train/dog', 'Training/dog', 'test/cat'),
            'of these Training, test, train name .* Leave one each of',
        ),
        (
            ('train/cat', 'train/dog', 'test/cow'),
            'holds cow, which is not among the 2 classes cat, dog',
        ),
        (
            ('fold1/cat', 'fold1/dog', 'fold2/cat', 'fold2/dog'),
            'each folder of .* holds cat, dog: which are the classes',
        ),
        (('cat', 'dog', '.'), r'4 images lie in .* itself, outside of any'),
    ],
)
def test_what_is_not_clear(tmp_path, folders, message):
    root = fill(tmp_path, *folders)
    with pytest.raises(ValueError, match=message):
        ImageFolder(str(root), split='test')


def test_too_few_images(tmp_path):
    root = fill(tmp_path, 'cat', 'dog')
    (root / 'empty').mkdir()
    with pytest.raises(ValueError, match='1 class folders in .* such as empt'):
        ImageFolder(str(root))
    fill(root, 'empty', images=2)
    message = 'class empty has 2 images; it needs 3, one each for train and te'
    with pytest.raises(ValueError, match=message):
        ImageFolder(str(root))


def test_missing_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match='no .*/gone'):
        ImageFolder(str(tmp_path / 'gone'))
    fill(tmp_path, 'train/cat', 'train/dog')
    with pytest.raises(
        FileNotFoundError, match='no .*/test beside train, which h'
    ):
        ImageFolder(str(tmp_path))
    (tmp_path / 'train').rename(tmp_path / 'test')
    with pytest.raises(FileNotFoundError, match='no .*/train .*--folder'):
        ImageFolder(str(tmp_path))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(split='every'), "split='every' must be one of"),
        (dict(with_label=False), "takes split='all', and split='train'"),
        (dict(val_fraction=0), 'val_fraction=0 and test_fraction=0.2 must be'),
        (dict(val_fraction=0.6, test_fraction=0.4), 'must be numbers above 0'),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        ImageFolder('nowhere', **options)


def test_linked_folders_are_read_once(tmp_path, log):
    root = fill(tmp_path / 'images', 'cat', 'dog')
    more = fill(tmp_path / 'more', 'batch_1', 'batch_2')
    (root / 'dog' / 'more').symlink_to(more)
    (root / 'dog' / 'again').symlink_to(more / 'batch_1')
    (root / 'dog' / 'circle').symlink_to(root / 'dog')
    (root / 'dog' / 'a_name').symlink_to(root / 'dog' / 'real')
    write_image(root / 'dog' / 'real' / '0.jpg')
    (root / 'dog' / 'notes').symlink_to(root / 'dog' / 'notes')
    (root / 'cat' / 'scan.tif').mkdir()  # a folder, whatever its name
    write_image(root / 'cat' / 'scan.tif' / 'page.jpg')
    write_image(root / 'cat' / 'moving.gif')
    found = set.union(*parts(root).values())
    assert len([name for name in found if name.startswith('dog/')]) == 13
    assert 'dog/real/0.jpg' in found
    assert len([name for name in found if name.startswith('cat/')]) == 5
    assert any('2 files in' in line and 'moving.gif' in line for line in log)


def test_a_part_without_any_image(tmp_path):
    root = fill(tmp_path, 'train/cat', 'train/dog', 'test/cat')
    (root / 'val').mkdir()
    with pytest.raises(ValueError, match='val holds no image; images end'):
        ImageFolder(str(root), split='val')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(val_fraction=float('nan')), 'val_fraction=nan and'),
        (dict(test_fraction='0.1'), "test_fraction='0.1' must be"),
        (dict(seed=0.0), 'seed=0.0 must be an int'),
        (dict(classes=['dog', 'cow']), 'holds cat, .* the 2 classes dog, cow'),
    ],
)
def test_options_that_would_be_misread(tmp_path, options, message):
    fill(tmp_path, 'cat', 'dog')
    with pytest.raises(ValueError, match=message):
        ImageFolder(str(tmp_path), **options)


def test_classes_say_the_order_of_labels(tmp_path):
    fill(tmp_path, 'cat', 'dog')
    dataset = ImageFolder(str(tmp_path), classes=['dog', 'cat'])
    assert dataset.metainfo['classes'] == ('dog', 'cat')
    assert 'dog' in dataset.get_data_info(0)['img_path']
    # They may hold folders of the same names.
    fill(tmp_path, 'cat/2025', 'cat/2026', 'dog/2025', 'dog/2026')
    ImageFolder(str(tmp_path), classes=['dog', 'cat'])


@pytest.mark.parametrize(
    'folders',
    [
        ('Training', 'Testing'),
        ('TRAIN', 'valid', 'Test'),
        ('seg_train/seg_train', 'seg_test/seg_test', '__MACOSX'),
        ('train', 'dev', 'test_images'),
    ],
)
def test_other_names_of_splits(tmp_path, folders):
    root = fill(
        tmp_path,
        *(f'{folder}/{name}' for folder in folders for name in ('a', 'b')),
    )
    splits = [split_of(folder.partition('/')[0]) for folder in folders]
    found = parts(root)
    for folder, split in zip(folders, splits, strict=True):
        if split is not None and 'val' in splits + [split]:
            assert {n.startswith(f'{folder}/') for n in found[split]} == {True}
    assert ImageFolder(str(root)).metainfo['classes'] == ('a', 'b')
    assert count_classes(str(root)) == 2


def test_all_images_of_a_folder(tmp_path):
    """Of some classes of a task, as tools/test.py --folder asks for."""
    every = dict(split='all', classes=('a', 'b', 'c'))
    root = fill(tmp_path / 'one', 'b', 'c')
    assert ImageFolder(str(root), **every).get_gt_labels().tolist() == (
        [1] * 4 + [2] * 4
    )
    root = fill(tmp_path / 'two', 'test/b', 'val/a', 'val/b')
    assert ImageFolder(str(root), **every).get_gt_labels().tolist() == (
        [0] * 4 + [1] * 8
    )
    # Without labels, wherever they lie.
    write_image(root / 'loose.jpg')
    assert len(ImageFolder(str(root), split='all', with_label=False)) == 13


def test_links_of_images_that_lead_nowhere(tmp_path):
    root = fill(tmp_path, 'cat', 'dog')
    (root / 'dog' / 'gone.jpg').symlink_to(tmp_path / 'unmounted.jpg')
    (root / 'dog' / 'round.jpg').symlink_to(root / 'dog' / 'round.jpg')
    with pytest.raises(
        FileNotFoundError, match='2 of 10 images .* mend the links'
    ) as error:
        ImageFolder(str(root))
    assert str(root / 'dog' / 'gone.jpg') in str(error.value)
