"""What a check of data sets finds in folders made for it."""

import os

import numpy as np
import pytest
from mmengine.dataset import BaseDataset as PlainDataset
from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS
from PIL import Image

from vptm_mm.datasets.check import check_datasets, describe, has_problems

from ..made_images import IMAGE, KINDS, encode

# Kinds of images that docs/data.md names, and what the check says of them.
SAID = {
    'zero bytes': 'empty',
    'text named .jpg': 'not an image',
    'JPEG cut short': 'cut short',
    'JPEG without its last two bytes': 'cut short',
    'PNG with a wrong byte': 'not decodable',
    'TIFF of 32 bit numbers': 'not decodable',
    '20,000 px wide, 10 high': 'too thin',
    'header says 10,000 x 10,000': 'too large',
    'CMYK': 'CMYK, converted without a colour profile',
    '16 bit PNG': 'more than 8 bits, the lower ones are lost',
    'TIFF of several pages': 'several frames or pages, the first is read',
    'rotated by EXIF': 'rotated by EXIF, turned upright',
    'RGBA, transparent': 'with transparency, which is dropped',
    'JPEG': None,
    'PNG named .jpg': None,
    'grey': None,
    'JPEG with a preview inside': None,
}


def other_image(seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (9, 12, 3))
    return encode('PNG', Image.fromarray(noise.astype(np.uint8)))


def listed(folder, lines, classes=('cat', 'dog'), **options) -> dict:
    """A data set of the host that reads a list."""
    path = folder / f'{abs(hash((tuple(lines), classes)))}.txt'
    path.write_text('\n'.join(lines))
    return dict(
        type='CustomDataset',
        ann_file=str(path),
        data_prefix=str(folder),
        classes=classes,
        **options,
    )


def check(num_classes=None, workers=0, **splits) -> dict:
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        datasets = {k: DATASETS.build(cfg) for k, cfg in splits.items()}
    return check_datasets(datasets, num_classes, workers)


def kinds(report, level=None) -> dict[str, int]:
    counts: dict[str, int] = {}
    for found in report['findings']:
        if level in (None, found['level']):
            counts[found['kind']] = counts.get(found['kind'], 0) + 1
    return counts


@pytest.fixture
def clean(tmp_path):
    """Two splits, two classes, four images."""
    for i in range(4):
        (tmp_path / f'{i}.png').write_bytes(other_image(i))
    return dict(
        train=listed(tmp_path, ['0.png 0', '1.png 1']),
        test=listed(tmp_path, ['2.png 0', '3.png 1']),
    )


@pytest.fixture(scope='module')
def bad_folder(tmp_path_factory):
    """One image of each kind in ``SAID``, one that is missing."""
    folder = tmp_path_factory.mktemp('bad')
    lines = []
    for i, kind in enumerate(SAID):
        name, make = KINDS[kind]
        name = f'{i}{os.path.splitext(name)[1]}'
        (folder / name).write_bytes(make())
        lines.append(f'{name} {i % 2}')
    (folder / 'folder.jpg').mkdir()
    return listed(folder, [*lines, 'gone.jpg 0', 'folder.jpg 1'])


def test_a_clean_set(clean):
    report = check(**clean, num_classes=2)
    assert report['findings'] == []
    assert not has_problems(report)
    assert report['splits']['train'] == dict(
        images=2, classes=dict(cat=1, dog=1)
    )
    assert list(describe(report, 1)) == [
        'train: 2 images, 2 classes of 1 (cat) to 1 (dog)',
        'test: 2 images, 2 classes of 1 (cat) to 1 (dog)',
        'Nothing was found.',
    ]


def test_each_kind_is_found_and_named(bad_folder):
    report = check(train=bad_folder)
    said = {i: set() for i in range(len(SAID))}
    for found in report['findings']:
        if not found['kind'].startswith('equal'):
            (image,) = found['images']
            name = os.path.basename(image['image'])
            if name in ('gone.jpg', 'folder.jpg'):
                wanted = dict(gone='missing', folder='cannot be opened')
                assert found['kind'] == wanted[name[:-4]]
                assert name in found['text']
            else:
                said[int(name.partition('.')[0])].add(found['kind'])
    for i, (kind, wanted) in enumerate(SAID.items()):
        assert said[i] == ({wanted} if wanted else set()), kind
    assert kinds(report)['missing'] == kinds(report)['cannot be opened'] == 1
    assert has_problems(report)
    assert sum(report['splits']['train']['classes'].values()) == len(SAID) + 2


def test_workers_do_not_change_the_report(bad_folder, clean):
    one, two = (
        check(**clean, bad=bad_folder, workers=workers) for workers in (0, 2)
    )
    assert one == two


def test_equal_images(tmp_path):
    image = IMAGE.convert('RGB')
    for name in ('a.png', 'b.png', 'c.png', 'd.png'):
        (tmp_path / name).write_bytes(encode('PNG', image))
    (tmp_path / 'e.bmp').write_bytes(encode('BMP', image))
    for i in range(2):
        (tmp_path / f'{i}.png').write_bytes(other_image(i))
    train = ['0.png 0', '1.png 1', 'a.png 0', 'b.png 0']
    report = check(train=listed(tmp_path, train))
    assert kinds(report) == {'equal, in one split': 1}
    (found,) = report['findings']
    assert (found['level'], found['text']) == ('note', 'equal images')
    assert not has_problems(report)

    report = check(
        train=listed(tmp_path, train),
        test=listed(tmp_path, ['e.bmp 0', '0.png 0', 'gone.png 1']),
    )
    texts = [
        (found['text'], len(found['images']))
        for found in report['findings']
        if found['kind'].startswith('equal')
    ]
    assert kinds(report) == {'equal, in several splits': 2, 'missing': 1}
    assert sorted(texts) == [('equal images', 3), ('the same file', 2)]

    report = check(train=listed(tmp_path, ['a.png 0', 'c.png 1', '0.png 1']))
    assert kinds(report) == {'equal, labels differ': 1}
    assert [i['label'] for i in report['findings'][0]['images']] == [0, 1]


def test_damaged_files_may_be_equal(tmp_path):
    for name in ('a.jpg', 'b.jpg', 'empty.jpg'):
        content = b'' if name == 'empty.jpg' else b'no image'
        (tmp_path / name).write_bytes(content)
    report = check(
        train=listed(tmp_path, ['a.jpg 0', 'gone1.jpg 1', 'gone2.jpg 0']),
        test=listed(tmp_path, ['b.jpg 0', 'empty.jpg 1']),
    )
    assert kinds(report)['equal, in several splits'] == 1
    assert kinds(report)['missing'] == 2


def test_labels(clean, tmp_path):
    train = listed(tmp_path, ['0.png 0', '1.png 5', '2.png -1'])
    report = check(train=train)
    assert kinds(report) == {'label out of range': 2, 'empty class': 1}
    assert 'label 5 must be from 0 to 1' in report['findings'][0]['text']
    counts = report['splits']['train']['classes']
    assert counts == {'cat': 1, 'dog': 0, 'label -1': 1, 'label 5': 1}
    report = check(**clean, num_classes=3)
    assert kinds(report) == {'number of classes': 2}
    assert 'the head num_classes=3' in report['findings'][0]['text']
    swapped = listed(tmp_path, ['2.png 1', '3.png 0'], classes=('dog', 'cat'))
    report = check(train=clean['train'], test=swapped)
    assert kinds(report) == {'classes differ': 1}


def test_wrappers_repeat_nothing(clean):
    train = clean['train']
    report = check(
        concat=dict(type='ConcatDataset', datasets=[train, clean['test']])
    )
    assert report['findings'] == []
    assert report['splits']['concat']['images'] == 4
    for wrapper in (
        dict(type='RepeatDataset', times=3),
        dict(type='ClassBalancedDataset', oversample_thr=0.9),
    ):
        report = check(train=dict(wrapper, dataset=train))
        assert report['findings'] == []
        assert report['splits']['train']['images'] == 2


def test_splits_of_one_set_share_nothing():
    digits = dict(type='SklearnDigits', split='train')
    parts = {
        part: dict(type='TrainValSplit', part=part, dataset=digits)
        for part in ('train', 'val')
    }
    report = check(**parts, num_classes=10)
    assert report['findings'] == []
    assert sum(s['images'] for s in report['splits'].values()) == 1077
    report = check(train=digits, val=parts['val'])
    found = report['splits']['val']['images']
    assert kinds(report) == {'equal, in several splits': found}
    first = report['findings'][0]['images']
    assert [i['split'] for i in first] == ['train', 'val']
    assert first[1]['image'].startswith('val[')


def test_the_pipelines_loader_is_asked(tmp_path):
    (tmp_path / 'a.tif').write_bytes(KINDS['TIFF of 32 bit numbers'][1]())
    pipeline = [dict(type='LoadImageFromFile', imdecode_backend='pillow')]
    report = check(train=listed(tmp_path, ['a.tif 0'], pipeline=pipeline))
    assert kinds(report, 'problem') == {'not 8 bits': 1}


def test_images_in_memory_and_without_labels(tmp_path):
    (tmp_path / 'a.png').write_bytes(other_image(0))

    class Made(PlainDataset):
        def load_data_list(self):
            return [
                dict(img_path=str(tmp_path / 'a.png')),
                dict(img=np.zeros((3, 3, 3), np.uint8), gt_label=2),
                dict(img=np.ones((3, 3, 3), np.uint8)),
            ]

    made = Made(metainfo=dict(classes=('x', 'y')))
    report = check_datasets(dict(train=made))
    assert kinds(report) == {
        'label out of range': 1,
        'empty class': 2,
    }
    assert report['splits']['train']['classes'] == {
        'x': 0,
        'y': 0,
        'label 2': 1,
    }


def test_a_report_in_lines(bad_folder, clean):
    report = check(**clean, bad=bad_folder)
    text = '\n'.join(describe(report, show=1))
    assert 'problem: cut short (2)\n  the JPEG file of' in text
    assert '.jpg, class cat\n  ... and 1 more' in text
    assert 'note: CMYK, converted without a colour profile (1)' in text
