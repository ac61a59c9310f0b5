"""Small data sets in the official folder formats, a few images each."""

import io
import pickle
import uuid
from pathlib import Path

import numpy as np
from mmpretrain.datasets.categories import (
    DTD_CATEGORIES,
    FGVCAIRCRAFT_CATEGORIES,
    FOOD101_CATEGORIES,
)
from PIL import Image
from scipy.io import savemat

from vptm_mm.datasets import VTAB1k

from .made_cub import make_cub

# Enough for the two classes that have some for a validation image each.
TRAIN, TEST = 4, 2


def encode(form: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 3))
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, form)
    return buffer.getvalue()


JPEG = encode('JPEG')


def write_image(path: Path, content: bytes = JPEG) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_lines(path: Path, lines) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join(map(str, lines)) + '\n')


def cells(values) -> np.ndarray:
    """A column of MATLAB cells."""
    column = np.empty((len(values), 1), dtype=object)
    column[:, 0] = values
    return column


def struct_array(**fields) -> np.ndarray:
    """A MATLAB struct array of one row."""
    count = len(next(iter(fields.values())))
    array = np.empty((1, count), dtype=[(name, object) for name in fields])
    for name, values in fields.items():
        array[name][0] = values
    return array


def make_nabirds(folder: Path) -> Path:
    """All 555 classes, their ids with gaps; two classes have more images."""
    root = folder / 'nabirds'
    ids = [2 * number + 5 for number in range(555)]
    images = []
    for label, class_id in enumerate(ids):
        for number in range(TRAIN + TEST if label < 2 else 1):
            name = uuid.UUID(int=len(images))
            path = f'{class_id:04d}/{name.hex}.jpg'
            write_image(root / 'images' / path)
            images.append((name, path, class_id, int(number < TRAIN)))
    write_lines(root / 'images.txt', [f'{i[0]} {i[1]}' for i in images])
    # Each file has an order of its own.
    for name, column, order in (
        ('image_class_labels.txt', 2, images[::-1]),
        ('train_test_split.txt', 3, images[1:] + images[:1]),
    ):
        write_lines(root / name, [f'{i[0]} {i[column]}' for i in order])
    write_lines(
        root / 'classes.txt',
        [f'{i} Bird {i} (Adult Male)' for i in range(ids[-1], -1, -1)],
    )
    return root


def make_stanford_dogs(folder: Path) -> Path:
    """All 120 breeds in both lists; two breeds have more to train on."""
    root = folder / 'Stanford_Dogs'
    (root / 'lists').mkdir(parents=True)
    breeds = [f'n{number:08d}-Breed-{number}' for number in range(1, 121)]
    for split in ('train', 'test'):
        images = []
        for label, breed in enumerate(breeds, start=1):
            many = split == 'train' and label <= 2
            for number in range(TRAIN if many else 1):
                path = f'{breed}/{breed[:9]}_{split}{number}.jpg'
                write_image(root / 'Images' / path)
                images.append((path, label))
        paths, labels = zip(*images, strict=True)
        content = dict(
            file_list=cells(paths),
            annotation_list=cells([path[:-4] for path in paths]),
            labels=np.array(labels, dtype=np.uint8)[:, None],
        )
        savemat(root / 'lists' / f'{split}_list.mat', content)
    return root


def make_stanford_cars(folder: Path) -> Path:
    root = folder / 'Stanford_Cars'
    (root / 'devkit').mkdir(parents=True)
    for split, count, suffix in (
        ('train', 2 * TRAIN, ''),
        ('test', 2 * TEST, '_withlabels'),
    ):
        names = [f'{number + 1:05d}.jpg' for number in range(count)]
        for name in names:
            write_image(root / f'cars_{split}' / name)
        annotations = struct_array(
            **{'class': [number % 2 + 195 for number in range(count)]},
            fname=names,
        )
        savemat(
            root / 'devkit' / f'cars_{split}_annos{suffix}.mat',
            dict(annotations=annotations),
        )
    return root


def make_flowers102(folder: Path) -> Path:
    root = folder / 'Flowers102'
    for number in range(1, 13):
        write_image(root / 'jpg' / f'image_{number:05d}.jpg')
    savemat(root / 'imagelabels.mat', dict(labels=np.array([[1, 102] * 6])))
    savemat(
        root / 'setid.mat',
        dict(
            trnid=np.array([[9, 10, 11, 12]]),
            valid=np.array([[5, 6, 7, 8]]),
            tstid=np.array([[1, 2, 3, 4]]),
        ),
    )
    return root


def make_dtd(folder: Path) -> Path:
    root = folder / 'dtd'
    (root / 'imdb').mkdir(parents=True)
    names = [
        f'{texture}/{texture}_{number:04d}.jpg'
        for number in range(6)
        for texture in (DTD_CATEGORIES[0], DTD_CATEGORIES[-1])
    ]
    for name in names:
        write_image(root / 'images' / name)
    images = {
        'name': cells(names).T,
        'class': np.array([[1, 47] * 6]),
        'set': np.array([[1] * 4 + [2] * 4 + [3] * 4]),
    }
    savemat(root / 'imdb' / 'imdb.mat', dict(images=images))
    return root


def make_fgvc_aircraft(folder: Path) -> Path:
    root = folder / 'fgvc-aircraft-2013b'
    (two_words,) = [n for n in FGVCAIRCRAFT_CATEGORIES if n == 'Cessna 172']
    for number, split in enumerate(('train', 'val', 'test')):
        lines = []
        for image in range(4):
            name = f'{number}{image:06d}'
            write_image(root / 'data' / 'images' / f'{name}.jpg')
            variant = (FGVCAIRCRAFT_CATEGORIES[0], two_words)[image % 2]
            lines.append(f'{name} {variant}')
        write_lines(root / 'data' / f'images_variant_{split}.txt', lines)
    return root


def make_food101(folder: Path) -> Path:
    root = folder / 'food-101'
    for split, count in (('train', TRAIN), ('test', TEST)):
        names = [
            f'{dish}/{split}{number}'
            for dish in (FOOD101_CATEGORIES[0], FOOD101_CATEGORIES[-1])
            for number in range(count)
        ]
        for name in names:
            write_image(root / 'images' / f'{name}.jpg')
        write_lines(root / 'meta' / f'{split}.txt', names)
    return root


def make_oxford_pets(folder: Path) -> Path:
    root = folder / 'Oxford-IIIT_Pets'
    for split, count in (('trainval', TRAIN), ('test', TEST)):
        lines = []
        for breed, label in (('Abyssinian', 1), ('yorkshire_terrier', 37)):
            for number in range(count):
                name = f'{breed}_{split}{number}'
                write_image(root / 'images' / f'{name}.jpg')
                lines.append(f'{name} {label} 1 1')
        write_lines(root / 'annotations' / f'{split}.txt', lines)
    return root


def make_sun397(folder: Path) -> Path:
    """One image is not a JPEG file, as in the official archive."""
    root = folder / 'SUN397'
    for split, count in (('Training', TRAIN), ('Testing', TEST)):
        lines = [
            f'/a/{scene}/sun_{split}{number}.jpg'
            for scene in ('abbey', 'apartment_building/outdoor')
            for number in range(count)
        ]
        for line in lines:
            write_image(root / 'SUN397' / line[1:])
        write_image(root / 'SUN397' / lines[0][1:], encode('GIF'))
        write_lines(root / 'Partitions' / f'{split}_01.txt', lines)
    return root


def make_caltech101(folder: Path) -> Path:
    root = folder / 'caltech-101'
    for split, count in (('train', TRAIN), ('test', TEST)):
        lines = [
            f'{name}/{split}_{number}.jpg {label}'
            for name, label in (('BACKGROUND_Google', 0), ('yin_yang', 101))
            for number in range(count)
        ]
        for line in lines:
            write_image(root / '101_ObjectCategories' / line.split()[0])
        write_lines(root / 'meta' / f'{split}.txt', lines)
    return root


def make_imagenet(folder: Path) -> Path:
    """The layout with lists; the other one takes all 1,000 folders."""
    root = folder / 'imagenet'
    for split, count in (('train', TRAIN), ('val', TEST)):
        lines = [
            f'{wnid}/{split}_{number}.JPEG {label}'
            for wnid, label in (('n01440764', 0), ('n15075141', 999))
            for number in range(count)
        ]
        for line in lines:
            write_image(root / split / line.split()[0])
        write_lines(root / 'meta' / f'{split}.txt', lines)
    return root


def make_cifar(folder: Path, classes: int) -> Path:
    """Python pickles; red images, all but the first test image not quite."""
    root = folder / f'cifar{classes}'
    name, key = {
        10: ('cifar-10-batches-py', 'labels'),
        100: ('cifar-100-python', 'fine_labels'),
    }[classes]
    files = {
        10: [
            *(f'data_batch_{number}' for number in range(1, 6)),
            'test_batch',
        ],
        100: ['train', 'test'],
    }[classes]
    (root / name).mkdir(parents=True)
    pixels = np.zeros((8, 3, 32, 32), dtype=np.uint8)
    pixels[:, 0] = 255
    for number, file in enumerate(reversed(files)):
        pixels[:, 2, 0, 0] = 8 * number + np.arange(8)
        content = {'data': pixels.reshape(8, -1), key: [0, classes - 1] * 4}
        (root / name / file).write_bytes(pickle.dumps(content))
    return root


def make_cifar10(folder: Path) -> Path:
    return make_cifar(folder, 10)


def make_cifar100(folder: Path) -> Path:
    return make_cifar(folder, 100)


def make_vtab(folder: Path, tasks=tuple(VTAB1k.TASKS)) -> Path:
    root = folder / 'vtab-1k'
    for task in tasks:
        last = VTAB1k.TASKS[task] - 1
        for split in ('train800', 'val200', 'train800val200', 'test'):
            lines = []
            for number in range(8 if split == 'train800val200' else 4):
                path = f'images/{split}/{number:06d}.jpg'
                write_image(root / task / path)
                lines.append(f'{path} {last * (number % 2)}')
            write_lines(root / task / f'{split}.txt', lines)
    return root


def make_image_folder(folder: Path, classes=3, images=10) -> Path:
    root = folder / 'images'
    for label in range(classes):
        for number in range(images):
            write_image(root / f'class_{label}' / f'{number}.jpg')
    return root


def make_cub_200(folder: Path) -> Path:
    return make_cub(folder, images_per_class=4)


# By the variable that names the folder to the configs.
MAKERS = {
    'CALTECH101_ROOT': make_caltech101,
    'CIFAR100_ROOT': make_cifar100,
    'CIFAR10_ROOT': make_cifar10,
    'CUB_ROOT': make_cub_200,
    'DTD_ROOT': make_dtd,
    'FGVCAIRCRAFT_ROOT': make_fgvc_aircraft,
    'FLOWERS102_ROOT': make_flowers102,
    'FOOD101_ROOT': make_food101,
    'IMAGENET_ROOT': make_imagenet,
    'IMAGE_FOLDER': make_image_folder,
    'NABIRDS_ROOT': make_nabirds,
    'OXFORDIIITPET_ROOT': make_oxford_pets,
    'STANFORDCARS_ROOT': make_stanford_cars,
    'STANFORDDOGS_ROOT': make_stanford_dogs,
    'SUN397_ROOT': make_sun397,
    'VTAB1K_ROOT': make_vtab,
}
