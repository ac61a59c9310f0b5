"""Says where a missing data set was looked for, and how to get it."""

from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from .subsets import kind_of


class Guide(NamedTuple):
    """Where to get a data set and how its folder must look.

    Args:
        source: The address; that of a second part follows after a comma.
        needed: Files and folders below ``data_root``, with spaces between.
            One of several that do is written ``a|b``; ``{task}`` is the
            option of that name.
    """

    source: str
    needed: str


# MMPretrain downloads CIFAR-10 and CIFAR-100 itself.
GUIDES = {
    'Caltech101': Guide(
        'https://data.caltech.edu/records/mzrjq-6wc02 , the lists from '
        'https://download.openmmlab.com/mmpretrain/datasets/caltech_meta.zip',
        '101_ObjectCategories meta/train.txt meta/test.txt',
    ),
    'CUB': Guide(
        'https://www.vision.caltech.edu/datasets/cub_200_2011/',
        'images images.txt image_class_labels.txt train_test_split.txt',
    ),
    'DTD': Guide(
        'https://www.robots.ox.ac.uk/~vgg/data/dtd/', 'images imdb/imdb.mat'
    ),
    'FGVCAircraft': Guide(
        'https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/',
        'data/images data/images_variant_train.txt '
        'data/images_variant_val.txt data/images_variant_test.txt',
    ),
    'Flowers102': Guide(
        'https://www.robots.ox.ac.uk/~vgg/data/flowers/102/ , images, labels '
        'and splits',
        'jpg imagelabels.mat setid.mat',
    ),
    'Food101': Guide(
        'https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/',
        'images meta/train.txt meta/test.txt',
    ),
    'ImageNet': Guide('https://www.image-net.org , ILSVRC 2012', 'train val'),
    'NABirds': Guide(
        'https://dl.allaboutbirds.org/nabirds',
        'images images.txt image_class_labels.txt train_test_split.txt '
        'classes.txt',
    ),
    'OxfordIIITPet': Guide(
        'https://www.robots.ox.ac.uk/~vgg/data/pets/',
        'images annotations/trainval.txt annotations/test.txt',
    ),
    'StanfordCars': Guide(
        'https://ai.stanford.edu/~jkrause/cars/car_dataset.html',
        'car_ims|cars_train car_ims|cars_test '
        'cars_annos.mat|devkit/cars_train_annos.mat '
        'cars_annos.mat|devkit/cars_test_annos_withlabels.mat',
    ),
    'StanfordDogs': Guide(
        'http://vision.stanford.edu/aditya86/ImageNetDogs/ , images.tar and '
        'lists.tar, which is unpacked in a folder lists',
        'Images lists/train_list.mat lists/test_list.mat',
    ),
    'SUN397': Guide(
        'https://vision.princeton.edu/projects/2010/SUN/ , images and '
        'Partitions.zip',
        'SUN397 Partitions/Training_01.txt Partitions/Testing_01.txt',
    ),
    'VTAB1k': Guide(
        'https://github.com/ZhangYuanhan-AI/NOAH , which links the prepared '
        'image folders',
        '{task}/images {task}/train800.txt {task}/val200.txt '
        '{task}/train800val200.txt {task}/test.txt',
    ),
}
# Any folder of images will do for these; what the configs read it from.
FOLDERS = {
    'CustomDataset': 'IMAGE_FOLDER, TRAIN_FOLDER or TEST_FOLDER',
    'ImageFolder': 'IMAGE_FOLDER',
}
# Those that take ~ for the home folder; the host's do not.
EXPANDING = ('ImageFolder', 'NABirds', 'StanfordDogs', 'VTAB1k')


def check_data_roots(cfg: Any) -> None:
    """Look for the folders of every data set that a config reads.

    Args:
        cfg: A config, or a part of one; wrappers are looked into.

    Raises:
        FileNotFoundError: If a ``data_root``, or something that must lie
            below it, is not there.
    """
    if isinstance(cfg, Config):
        cfg = cfg.to_dict()
    if isinstance(cfg, dict):
        kind = kind_of(cfg)
        if cfg.get('data_root') and (kind in GUIDES or kind in FOLDERS):
            _check_data_root(kind, cfg)
        cfg = [*cfg.values()]
    if isinstance(cfg, (list, tuple)):
        for entry in cfg:
            check_data_roots(entry)


def _check_data_root(kind: str, cfg: dict) -> None:
    root = Path(cfg['data_root'])
    if kind in EXPANDING:
        root = root.expanduser()
    source, needed = GUIDES.get(kind, ('', ''))
    names = needed.replace('{task}', str(cfg.get('task'))).split()
    missing = [
        name
        for name in names
        if not any((root / path).exists() for path in name.split('|'))
    ]
    if root.exists() and not missing:
        return
    path = root / missing[0].split('|')[0] if root.exists() else root
    lines = [
        f'{kind}: no {path.absolute()}.',
        f'Get it from {source} .'
        if source
        else 'Any folder of images will do.',
    ]
    if names:
        listed = ', '.join(names).replace('|', ' or ')
        lines.append(f'The folder must hold {listed}.')
    if str(root).startswith('~'):
        lines.append(f'{kind} does not read ~ as the home folder.')
    variable = FOLDERS.get(kind, f'{kind.upper()}_ROOT')
    lines.append(f'Put it there, or set {variable}=PATH in the environment.')
    if not root.is_absolute():
        lines.append(
            f'A config in a work dir keeps {root}: use it in the folder in '
            'which the run began.'
        )
    raise FileNotFoundError('\n  '.join(lines))
