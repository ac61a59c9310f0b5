"""Checks that the data loaders of a run share no image."""

import functools
import hashlib
import os
from collections.abc import Mapping
from itertools import combinations
from os import path as osp
from typing import Any

import numpy as np
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS

from .subsets import kind_of

# Hooks that choose by validation, beside ``save_best``.
CHOOSERS = ('EarlyStoppingHook',)
# Of the smaller part. Published sets hold a few images twice, and what is in
# memory has no other name than its pixels.
SHARED_IN_MEMORY = 0.05


def check_splits(cfg: Mapping[str, Any], loaders: tuple[str, ...]) -> None:
    """Refuse data loaders that share images.

    The data sets are built, which lists their images, and reads none. Files
    are compared by their real path, images in memory by their pixels.

    Args:
        cfg: The merged config.
        loaders: Names of the data loaders that the run will read.

    Raises:
        ValueError: If two of them share images. Validation on the test images
            is allowed if nothing is chosen by it.
    """
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('ERROR')  # the run's own data sets log the same
    # Wrappers look for what they wrap in the current scope.
    scope = cfg.get('default_scope') or 'mmpretrain'
    try:
        with DefaultScope.overwrite_default_scope(scope):
            images = {
                name: _list_images(cfg[name]['dataset'])
                for name in loaders
                if cfg.get(name)
            }
    finally:
        logger.setLevel(level)
    for first, second in combinations(images, 2):
        if 'train_dataloader' not in (first, second) and not chooses(cfg):
            continue
        shared = images[first] & images[second]
        files = sorted(one for one in shared if isinstance(one, str))
        smaller = min(len(images[first]), len(images[second]))
        if files or len(shared) > SHARED_IN_MEMORY * smaller:
            example = f', such as {files[0]}' if files else ''
            raise ValueError(
                f'{first} and {second} share images: {len(shared):,} of '
                f'{len(images[first]):,} and {len(images[second]):,}'
                f'{example}. {_advise(first, second)}'
            )


def pixels_sha256(image: Any) -> bytes:
    """Return the sha256 of an image in memory."""
    pixels = np.ascontiguousarray(image)
    digest = hashlib.sha256(f'{pixels.shape} {pixels.dtype}'.encode())
    digest.update(pixels.data)
    return digest.digest()


def _list_images(dataset: Any) -> set[str | bytes]:
    """Return the real paths of a data set's images, or their digests."""
    if isinstance(dataset, Mapping):
        dataset = DATASETS.build(dataset)
    if not hasattr(dataset, 'get_data_info'):
        return set()  # of another library
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    paths = [info['img_path'] for info in infos if info.get('img_path')]
    paths += getattr(dataset, 'copied_images', ())
    # One look at each folder instead of each file.
    look_into = functools.cache(_look_into)
    real: set[str | bytes] = set()
    for path in paths:
        folder, name = osp.split(path)
        real_folder, links = look_into(folder)
        real.add(links.get(name) or osp.join(real_folder, name))
    return real | {pixels_sha256(i['img']) for i in infos if 'img' in i}


def _look_into(folder: str) -> tuple[str, dict[str, str]]:
    """Return a folder's real path, and those of the links in it."""
    here = folder or os.curdir
    links = {
        entry.name: osp.realpath(entry)
        for entry in (os.scandir(here) if osp.isdir(here) else ())
        if entry.is_symlink()
    }
    return osp.realpath(here), links


def chooses(cfg: Mapping[str, Any]) -> bool:
    """Whether a run chooses anything by its validation."""
    named = cfg.get('default_hooks') or {}
    hooks = [*named.values(), *(cfg.get('custom_hooks') or [])]
    return any(
        hook and (hook.get('save_best') or kind_of(hook) in CHOOSERS)
        for hook in hooks
    )


def _advise(first: str, second: str) -> str:
    advice = 'Give each its own part, cut alike in both'
    if 'val_dataloader' not in (first, second):
        return f'{advice}.'
    advice += ' (TrainValSplit), or leave validation out: --no-validate.'
    if 'test_dataloader' in (first, second):
        return f'The best checkpoint would be chosen by the test. {advice}'
    return advice
