"""Fits a pre-training to a small number of images."""

import math
from collections.abc import Container
from typing import Any

from mmengine.config import Config
from mmpretrain.registry import DATASETS

BATCH = 'train_dataloader.batch_size'
RATE = 'optim_wrapper.optimizer.lr'
EPOCHS = 'train_cfg.max_epochs'
# Who sets one of these has decided on the length.
OF_LENGTH = (BATCH, RATE, EPOCHS)
# The tiny backbones of the package took at least this many steps.
LEAST_STEPS = 2000
LEAST_BATCH = 32
LEAST_BATCHES = 8


def adapt_length(cfg: Config, given: Container[str]) -> str:
    """Lengthen a run on few images, in place, and say how.

    Args:
        cfg: Config of pre-training.
        given: Keys that the user has set; nothing changes if one of them is
            of the length.
    """
    if any(key in given for key in OF_LENGTH):
        return ''
    images = len(DATASETS.build(cfg.train_dataloader.dataset))
    options = options_for(cfg, images)
    cfg.merge_from_dict(options)
    said = ' '.join(f'{name}={value:g}' for name, value in options.items())
    return said and f'{images} images are few: --cfg-options {said}'


def options_for(cfg: Config, images: int) -> dict[str, Any]:
    """Return the options that give few images enough steps.

    Steps are what counts. Batches are halved until an epoch has some, the
    rate in proportion, and epochs are added, the schedule in proportion.

    Args:
        cfg: Config of pre-training.
        images: How many it trains on.

    Returns:
        As for ``--cfg-options``; nothing if there are steps enough.
    """
    before = batch = cfg.train_dataloader.batch_size
    epochs = cfg.train_cfg.max_epochs
    if images // batch * epochs >= LEAST_STEPS:
        return {}
    while batch >= 2 * LEAST_BATCH and images // batch < LEAST_BATCHES:
        batch //= 2
    batch = min(batch, images)
    longer = max(epochs, math.ceil(LEAST_STEPS / (images // batch)))
    options = {
        BATCH: batch,
        RATE: cfg.optim_wrapper.optimizer.lr * batch / before,
        EPOCHS: longer,
    }
    for number, scheduler in enumerate(cfg.param_scheduler):
        for key in ('begin', 'end'):
            if scheduler.get('by_epoch', True) and scheduler.get(key):
                name = f'param_scheduler.{number}.{key}'
                options[name] = round(scheduler[key] * longer / epochs)
    return options
