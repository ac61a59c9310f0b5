"""Says where a missing data set was looked for, and how to get it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Guide:
    """Where to get a data set and how its folder must look.

    Args:
        source: A sentence that says where to get it.
        needed: Files and folders below ``data_root``.
        variable: Environment variable that the configs read.
    """

    source: str
    needed: tuple[str, ...]
    variable: str


GUIDES = {
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
        variable='IMAGE_FOLDER',
    ),
}


def check_data_roots(cfg: Any) -> None:
    """Look for the folders of every data set that a config reads.

    Args:
        cfg: A config, or a part of one; wrappers are looked into.

    Raises:
        FileNotFoundError: If a ``data_root``, or something that must lie
            below it, is not there.
    """
    if isinstance(cfg, (list, tuple)):
        for entry in cfg:
            check_data_roots(entry)
        return
    if not isinstance(cfg, dict):
        return
    if cfg.get('data_root') and 'type' in cfg:
        _check_data_root(str(cfg['type']), Path(cfg['data_root']).expanduser())
    for value in cfg.values():
        check_data_roots(value)


def _check_data_root(dataset: str, root: Path) -> None:
    guide = GUIDES.get(dataset.rpartition('.')[-1])
    if guide is None:
        return
    missing = [root, *(root / name for name in guide.needed)]
    missing = [path for path in missing if not path.exists()]
    if not missing:
        return
    lines = [
        f'{dataset}: no {missing[0].absolute()}.',
        guide.source,
    ]
    if guide.needed:
        lines.append(f'The folder must hold {", ".join(guide.needed)}.')
    lines.append(
        f'Put it there, or set {guide.variable}=PATH in the environment.'
    )
    raise FileNotFoundError('\n  '.join(lines))
