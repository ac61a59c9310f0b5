"""A small data set in the official folder format of CUB-200-2011."""

import random
from pathlib import Path

import numpy as np
from mmpretrain.datasets.categories import CUB_CATEGORIES
from PIL import Image


def make_cub(
    folder: Path,
    images_per_class: int,
    shuffled: bool = False,
    size: tuple[int, int] = (20, 24),
) -> Path:
    """Write 200 classes of noise; every second image is for training.

    ``size`` is rows and columns of an image.
    """
    root = folder / 'CUB_200_2011'
    rng = np.random.default_rng(0)
    entries = []
    for label, name in enumerate(CUB_CATEGORIES, start=1):
        directory = f'{label:03d}.{name}'
        (root / 'images' / directory).mkdir(parents=True)
        for number in range(images_per_class):
            path = f'{directory}/{name}_{number:04d}.jpg'
            pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / 'images' / path)
            entries.append((path, label, (number + 1) % 2))
    if shuffled:
        random.Random(1).shuffle(entries)
    columns = {
        'images.txt': 0,
        'image_class_labels.txt': 1,
        'train_test_split.txt': 2,
    }
    for filename, column in columns.items():
        lines = [
            f'{number} {entry[column]}'
            for number, entry in enumerate(entries, start=1)
        ]
        (root / filename).write_text('\n'.join(lines) + '\n')
    return root
