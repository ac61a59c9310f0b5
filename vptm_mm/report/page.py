"""One page about one run: what ``page.html``, its template, shows."""

import math
from datetime import datetime
from typing import Any

import numpy as np
import torch
from jinja2 import Environment, PackageLoader, StrictUndefined
from mmengine.config import Config

from ..version import __version__
from ..visualization.confusion import (
    MAX_CLASSES,
    MAX_COUNTED,
    confused_pairs,
    count_confusions,
    most_confused,
)
from .curves import plot_panels
from .run_folder import RunFolder
from .tested import Tested

ACCURACY = 'accuracy/top1'
# What a reader looks for first, and where it stands in a config.
MAIN_VALUES = {
    'backbone': 'model.backbone.type',
    'pre-trained weights': 'model.backbone.init_cfg.checkpoint',
    'prompt length': 'model.backbone.prompt_length',
    'prompted blocks': 'model.backbone.prompt_blocks',
    'mask grid': 'model.backbone.mask_grid',
    'visual token': 'model.backbone.visual_token',
    'head': 'model.head.type',
    'classes': 'model.head.num_classes',
    'prototype dimension': 'model.head.prototype_dim',
    'temperature': 'model.head.temperature',
    'optimizer': 'optim_wrapper.optimizer.type',
    'learning rate': 'optim_wrapper.optimizer.lr',
    'weight decay': 'optim_wrapper.optimizer.weight_decay',
    'batch size': 'train_dataloader.batch_size',
    'epochs': 'train_cfg.max_epochs',
    'iterations': 'train_cfg.max_iters',
    'seed': 'randomness.seed',
}


def make_page(
    run: RunFolder,
    cfg: Config | None,
    tested: Tested | None,
    problem: str = '',
) -> str:
    """Write the page.

    Args:
        run: What the work dir says.
        cfg: Its config; None if it is gone.
        tested: Predictions on the test set; None if there are none.
        problem: Why there are none.

    Returns:
        HTML that needs no other file.
    """
    pages = Environment(
        loader=PackageLoader('vptm_mm', 'report'),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return pages.get_template('page.html').render(
        run=run,
        name=run.folder.resolve().name,
        tested=tested,
        problem=problem,
        summary=_summary(run, tested),
        panels=plot_panels(run.scalars),
        tests={
            name: f'{value:.4g}'
            for name, value in run.tests.items()
            if isinstance(value, (int, float)) and not name.endswith('time')
        },
        **({} if tested is None else _confusion(tested)),
        sizes=_sizes(run),
        config=run.config and run.config.read_text('utf-8', 'replace'),
        values={} if cfg is None else _main_values(cfg),
        environment=_environment(run.record),
        version=__version__,
        now=datetime.now().astimezone().strftime('%Y-%m-%d %H:%M %Z'),
    )


def _summary(run: RunFolder, tested: Tested | None) -> dict[str, str]:
    cards = {}
    if ACCURACY in run.tests:
        cards['test top-1'] = f'{float(run.tests[ACCURACY]):.2f} %'
    elif tested is not None and tested.right.size:
        cards['test top-1'] = f'{100 * tested.right.mean():.2f} %'
    if ACCURACY in run.scalars:
        step, best = max(run.scalars[ACCURACY], key=lambda point: point[1])
        cards[f'best validation top-1, iteration {step}'] = f'{best:.2f} %'
    if run.scalars:
        last = max(points[-1][0] for points in run.scalars.values())
        cards['iterations done'] = f'{last:,}'
    if sizes := _sizes(run):
        cards['trainable parameters'] = f'{sum(sizes.values()):,}'
    if images := run.record.get('images'):
        cards['training images'] = f'{images.get("train", 0):,}'
    return cards


def _sizes(run: RunFolder) -> dict[str, int]:
    """Count the elements of each trainable parameter."""
    shapes = run.record.get('tuned') or {}
    return {name: math.prod(shape) for name, shape in shapes.items()}


def _confusion(tested: Tested) -> dict[str, Any]:
    counts = count_confusions(
        torch.from_numpy(tested.labels),
        torch.from_numpy(tested.predicted),
        len(tested.classes),
    )
    images = counts.sum(1)
    shares = counts / np.maximum(images, 1)[:, None]
    shown = most_confused(counts, MAX_CLASSES)
    picked = np.ix_(shown, shown)
    return dict(
        confused=confused_pairs(counts, tested.classes),
        confusion=dict(
            counts=counts[picked],
            shares=shares[picked],
            names=[tested.classes[i] for i in shown],
            max_counted=MAX_COUNTED,
        ),
        accuracies=[
            (tested.classes[i], counts[i, i], images[i])
            for i in np.argsort(shares.diagonal(), kind='stable')
            if images[i]
        ],
    )


def _main_values(cfg: Config) -> dict[str, Any]:
    found = {}
    for text, path in MAIN_VALUES.items():
        node: Any = cfg
        for key in path.split('.'):
            node = node.get(key) if hasattr(node, 'get') else None
        if node is not None:
            found[text] = node
    return found


def _environment(record: dict[str, Any]) -> dict[str, Any]:
    named = ('started', 'device', 'processes', 'seed', 'platform', 'folder')
    return {
        **{name: record[name] for name in named if name in record},
        **record.get('versions', {}),
        'commit of vptm_mm': record.get('commit')
        or 'not run from a working copy',
    }
