"""Says where a missing data set was looked for, and how to get it."""

from pathlib import Path
from typing import Any

from mmengine.config import Config

from .subsets import kind_of

# Files and folders below ``data_root``; one of several that do is written
# ``a|b``, and ``{task}`` is the option of that name. ``docs/data.md`` says
# where to get them. MMPretrain downloads CIFAR-10 and CIFAR-100 itself.
NEEDED = {
    'Caltech101': '101_ObjectCategories meta/train.txt meta/test.txt',
    'CUB': 'images images.txt image_class_labels.txt train_test_split.txt',
    'DTD': 'images imdb/imdb.mat',
    'FGVCAircraft': 'data/images data/images_variant_train.txt '
    'data/images_variant_val.txt data/images_variant_test.txt',
    'Flowers102': 'jpg imagelabels.mat setid.mat',
    'Food101': 'images meta/train.txt meta/test.txt',
    'ImageNet': 'train val',
    'NABirds': 'images images.txt image_class_labels.txt '
    'train_test_split.txt classes.txt',
    'OxfordIIITPet': 'images annotations/trainval.txt annotations/test.txt',
    'StanfordCars': 'car_ims|cars_train car_ims|cars_test '
    'cars_annos.mat|devkit/cars_train_annos.mat '
    'cars_annos.mat|devkit/cars_test_annos_withlabels.mat',
    'StanfordDogs': 'Images lists/train_list.mat lists/test_list.mat',
    'SUN397': 'SUN397 Partitions/Training_01.txt Partitions/Testing_01.txt',
    'VTAB1k': '{task}/images {task}/train800.txt {task}/val200.txt '
    '{task}/train800val200.txt {task}/test.txt',
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
        if cfg.get('data_root') and (kind in NEEDED or kind in FOLDERS):
            _check_data_root(kind, cfg)
        cfg = [*cfg.values()]
    if isinstance(cfg, (list, tuple)):
        for entry in cfg:
            check_data_roots(entry)


def _check_data_root(kind: str, cfg: dict) -> None:
    root = Path(cfg['data_root'])
    if kind in EXPANDING:
        root = root.expanduser()
    needed = NEEDED.get(kind, '').replace('{task}', str(cfg.get('task')))
    names = needed.split()
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
        'docs/data.md links the data set.'
        if names
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
