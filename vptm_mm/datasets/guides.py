"""Says where a missing data set was looked for, and how to get it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .draws import kind_of


@dataclass(frozen=True)
class Guide:
    """Where to get a data set and how its folder must look.

    Args:
        source: A sentence that says where to get it.
        needed: Files and folders below ``data_root``. One of several that
            do is written ``a or b``; ``{task}`` is the option of that name.
        variable: Environment variable that the configs read; of several,
            each config reads its own.
    """

    source: str
    needed: tuple[str, ...]
    variable: str


# MMPretrain downloads CIFAR-10 and CIFAR-100 itself.
GUIDES = {
    'Caltech101': Guide(
        source=(
            'Get the images from https://data.caltech.edu/records/mzrjq-6wc02 '
            'and the lists from https://download.openmmlab.com/mmpretrain/'
            'datasets/caltech_meta.zip .'
        ),
        needed=('101_ObjectCategories', 'meta/train.txt', 'meta/test.txt'),
        variable='CALTECH101_ROOT',
    ),
    'CUB': Guide(
        source=(
            'Get it from '
            'https://www.vision.caltech.edu/datasets/cub_200_2011/ .'
        ),
        needed=(
            'images',
            'images.txt',
            'image_class_labels.txt',
            'train_test_split.txt',
        ),
        variable='CUB_ROOT',
    ),
    'CustomDataset': Guide(
        source='Any folder of images will do.',
        needed=(),
        variable='IMAGE_FOLDER, TRAIN_FOLDER or TEST_FOLDER',
    ),
    'DTD': Guide(
        source='Get it from https://www.robots.ox.ac.uk/~vgg/data/dtd/ .',
        needed=('images', 'imdb/imdb.mat'),
        variable='DTD_ROOT',
    ),
    'FGVCAircraft': Guide(
        source=(
            'Get it from '
            'https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/ .'
        ),
        needed=(
            'data/images',
            'data/images_variant_train.txt',
            'data/images_variant_val.txt',
            'data/images_variant_test.txt',
        ),
        variable='FGVCAIRCRAFT_ROOT',
    ),
    'Flowers102': Guide(
        source=(
            'Get images, labels and splits from '
            'https://www.robots.ox.ac.uk/~vgg/data/flowers/102/ .'
        ),
        needed=('jpg', 'imagelabels.mat', 'setid.mat'),
        variable='FLOWERS102_ROOT',
    ),
    'Food101': Guide(
        source=(
            'Get it from '
            'https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/ .'
        ),
        needed=('images', 'meta/train.txt', 'meta/test.txt'),
        variable='FOOD101_ROOT',
    ),
    'ImageFolder': Guide(
        source=(
            'Any folder of images will do; for labels it has a sub-folder for '
            'each class.'
        ),
        needed=(),
        variable='IMAGE_FOLDER',
    ),
    'ImageNet': Guide(
        source='Get ILSVRC 2012 from https://www.image-net.org .',
        needed=('train', 'val'),
        variable='IMAGENET_ROOT',
    ),
    'NABirds': Guide(
        source='Get it from https://dl.allaboutbirds.org/nabirds .',
        needed=(
            'images',
            'images.txt',
            'image_class_labels.txt',
            'train_test_split.txt',
            'classes.txt',
        ),
        variable='NABIRDS_ROOT',
    ),
    'OxfordIIITPet': Guide(
        source='Get it from https://www.robots.ox.ac.uk/~vgg/data/pets/ .',
        needed=(
            'images',
            'annotations/trainval.txt',
            'annotations/test.txt',
        ),
        variable='OXFORDIIITPET_ROOT',
    ),
    'StanfordCars': Guide(
        source=(
            'Get it from '
            'https://ai.stanford.edu/~jkrause/cars/car_dataset.html .'
        ),
        needed=(
            'car_ims or cars_train',
            'car_ims or cars_test',
            'cars_annos.mat or devkit/cars_train_annos.mat',
            'cars_annos.mat or devkit/cars_test_annos_withlabels.mat',
        ),
        variable='STANFORDCARS_ROOT',
    ),
    'StanfordDogs': Guide(
        source=(
            'Get images.tar and lists.tar from '
            'http://vision.stanford.edu/aditya86/ImageNetDogs/ ; unpack the '
            'second one in a folder lists.'
        ),
        needed=('Images', 'lists/train_list.mat', 'lists/test_list.mat'),
        variable='STANFORDDOGS_ROOT',
    ),
    'SUN397': Guide(
        source=(
            'Get images and Partitions.zip from '
            'https://vision.princeton.edu/projects/2010/SUN/ .'
        ),
        needed=(
            'SUN397',
            'Partitions/Training_01.txt',
            'Partitions/Testing_01.txt',
        ),
        variable='SUN397_ROOT',
    ),
    'VTAB1k': Guide(
        source=(
            'Get the prepared image folders, as linked from '
            'https://github.com/ZhangYuanhan-AI/NOAH .'
        ),
        needed=(
            '{task}/images',
            '{task}/train800.txt',
            '{task}/val200.txt',
            '{task}/train800val200.txt',
            '{task}/test.txt',
        ),
        variable='VTAB1K_ROOT',
    ),
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
    if isinstance(cfg, (list, tuple)):
        for entry in cfg:
            check_data_roots(entry)
        return
    if not isinstance(cfg, dict):
        return
    if cfg.get('data_root') and 'type' in cfg:
        _check_data_root(cfg)
    for value in cfg.values():
        check_data_roots(value)


def _check_data_root(cfg: dict) -> None:
    dataset = kind_of(cfg)
    guide = GUIDES.get(dataset)
    if guide is None:
        return
    root = Path(cfg['data_root'])
    if dataset in EXPANDING:
        root = root.expanduser()
    task = str(cfg.get('task'))
    needed = [name.replace('{task}', task) for name in guide.needed]
    missing = [
        name
        for name in needed
        if not any((root / path).exists() for path in name.split(' or '))
    ]
    if root.exists() and not missing:
        return
    path = root / missing[0] if root.exists() else root
    lines = [f'{dataset}: no {path.absolute()}.', guide.source]
    if needed:
        lines.append(f'The folder must hold {", ".join(needed)}.')
    if str(root).startswith('~'):
        lines.append(f'{dataset} does not read ~ as the home folder.')
    lines.append(
        f'Put it there, or set {guide.variable}=PATH in the environment.'
    )
    raise FileNotFoundError('\n  '.join(lines))
