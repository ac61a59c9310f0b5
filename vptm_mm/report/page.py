"""One page about one run."""

import math
from collections.abc import Sequence
from datetime import datetime
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np
import torch
from mmengine.config import Config

from ..version import __version__
from ..visualization.confusion import (
    MAX_CLASSES,
    MAX_COUNTED,
    confused_pairs,
    count_confusions,
    most_confused,
)
from . import html
from .curves import draw_panels
from .run_folder import RunFolder
from .tested import Tested

SHOWN_CLASSES = 20  # the others are folded
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
    pictures: Sequence[tuple[int, str | None]],
    problems: Sequence[str],
) -> str:
    """Write the page.

    Args:
        run: What the work dir says.
        cfg: Its config; None if it is gone.
        tested: Predictions on the test set; None if there are none.
        pictures: Indices of the worst mistakes, and their images as data
            URIs.
        problems: Why something is missing.

    Returns:
        HTML that needs no other file.
    """
    parts = {
        'Summary': [_summary(run, tested), *map(html.missing, problems)],
        'Curves': _curves(run),
        'Test': _test(run, tested),
        'Confusion': _confusion(tested),
        'Classes': _classes(tested),
        'Worst mistakes': _mistakes(tested, pictures),
        'Tuned parameters': _tuned(run),
        'Data': _data(run, cfg),
        'Configuration': _configuration(run, cfg),
        'Environment': _environment(run),
    }
    links = ''.join(
        f'<a href="#{title.lower().replace(" ", "-")}">{title}</a>'
        for title in parts
    )
    name = run.folder.resolve().name
    now = datetime.now().astimezone().strftime('%Y-%m-%d %H:%M %Z')
    template = files(__package__).joinpath('page.html').read_text('utf-8')
    return Template(template).substitute(
        title=escape(f'Run {name}'),
        subtitle=escape(_subtitle(run)),
        links=links,
        sections='\n'.join(html.section(t, *p) for t, p in parts.items()),
        footer=escape(f'Made by vptm_mm {__version__}, {now}.'),
    )


def _subtitle(run: RunFolder) -> str:
    starts = [session.name for session in run.sessions]
    text = f'Started {starts[0]}'
    return text + f', resumed {", ".join(starts[1:])}' * (len(starts) > 1)


def _summary(run: RunFolder, tested: Tested | None) -> str:
    rows = []
    if ACCURACY in run.tests:
        rows.append(('test top-1', f'{float(run.tests[ACCURACY]):.2f} %'))
    elif tested is not None and len(tested.labels):
        share = np.mean(tested.labels == tested.predicted)
        rows.append(('test top-1', f'{100 * share:.2f} %'))
    if ACCURACY in run.scalars:
        step, best = max(run.scalars[ACCURACY], key=lambda point: point[1])
        rows.append(
            (f'best validation top-1, iteration {step}', f'{best:.2f} %')
        )
    if run.scalars:
        last = max(points[-1][0] for points in run.scalars.values())
        rows.append(('iterations done', f'{last:,}'))
    if run.record.get('tuned'):
        rows.append(('tuned parameters', f'{_count(run):,}'))
    if run.record.get('images'):
        images = run.record['images'].get('train', 0)
        rows.append(('training images', f'{images:,}'))
    return html.cards(rows) if rows else html.missing('Nothing yet.')


def _curves(run: RunFolder) -> list[str]:
    drawn = draw_panels(run.scalars)
    if not drawn:
        return [html.missing('No curves: no iteration was logged.')]
    return [html.panels(drawn)]


def _test(run: RunFolder, tested: Tested | None) -> list[str]:
    parts = []
    numbers = {
        name: value
        for name, value in run.tests.items()
        if isinstance(value, (int, float)) and not name.endswith('time')
    }
    if numbers:
        rows = [(name, f'{value:.4g}') for name, value in numbers.items()]
        parts.append(html.pairs(rows))
    else:
        parts.append(html.missing('No test result is in the work dir.'))
    if tested is not None:
        right = int((tested.labels == tested.predicted).sum())
        parts.append(
            html.paragraph(
                f'{tested.checkpoint}: {right:,} of {len(tested.labels):,} '
                'test images right.'
            )
        )
    return parts


def _counts(tested: Tested) -> np.ndarray:
    return count_confusions(
        torch.from_numpy(tested.labels),
        torch.from_numpy(tested.predicted),
        len(tested.classes),
    )


def _confusion(tested: Tested | None) -> list[str]:
    if tested is None:
        return [html.missing('No predictions.')]
    counts = _counts(tested)
    shown = most_confused(counts, MAX_CLASSES)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    picked = np.ix_(shown, shown)
    text = 'Rows are true classes, columns predicted ones.'
    if len(shown) < len(counts):
        text += (
            f' The {len(shown)} of {len(counts)} classes with the most errors.'
        )
    pairs = confused_pairs(counts, tested.classes)
    table = html.heat_table(
        counts[picked],
        shares[picked],
        [tested.classes[i] for i in shown],
        with_counts=len(shown) <= MAX_COUNTED,
    )
    listed = html.listing(pairs) if pairs else html.missing('No mistakes.')
    return [
        html.paragraph(text),
        f'<div class="split">{table}<div><h3>Most confused pairs</h3>'
        f'{listed}</div></div>',
    ]


def _classes(tested: Tested | None) -> list[str]:
    if tested is None:
        return [html.missing('No predictions.')]
    counts = _counts(tested)
    images, right = counts.sum(1), counts.diagonal()
    shares = right / np.maximum(images, 1)
    rows = [
        (tested.classes[i], shares[i], f'{right[i]} of {images[i]}')
        for i in np.argsort(shares, kind='stable')
        if images[i]
    ]
    parts = [
        html.paragraph('Accuracy of each class, the worst first.'),
        html.bars(rows[:SHOWN_CLASSES]),
    ]
    if len(rows) > SHOWN_CLASSES:
        rest = rows[SHOWN_CLASSES:]
        parts.append(html.folded(f'{len(rest)} more', html.bars(rest)))
    return parts


def _mistakes(
    tested: Tested | None, pictures: Sequence[tuple[int, str | None]]
) -> list[str]:
    if tested is None:
        return [html.missing('No predictions.')]
    if not pictures:
        return [html.missing('No mistakes.')]
    rows = [
        (
            uri,
            (
                f'is {tested.classes[tested.labels[index]]}',
                f'taken for {tested.classes[tested.predicted[index]]}',
                f'{100 * tested.confidence[index]:.1f} %',
                tested.images[index] or f'no. {index}',
            ),
        )
        for index, uri in pictures
    ]
    text = 'Wrong, and surest of it: the score is that of the wrong class.'
    return [html.paragraph(text), html.gallery(rows)]


def _count(run: RunFolder) -> int:
    return sum(math.prod(shape) for shape in run.record['tuned'].values())


def _tuned(run: RunFolder) -> list[str]:
    tuned = run.record.get('tuned')
    if not tuned:
        return [html.missing('Not recorded: no run.json.')]
    rows = [
        (name, f'{math.prod(shape):,}  {tuple(shape)}')
        for name, shape in tuned.items()
    ]
    total = run.record.get('parameters', 0)
    text = f'{_count(run):,} of {total:,} parameters'
    if total:
        text += f' ({_count(run) / total:.3%})'
    return [html.paragraph(f'{text} are tuned.'), html.pairs(rows)]


def _data(run: RunFolder, cfg: Config | None) -> list[str]:
    rows: list[tuple[str, object]] = []
    for split in ('train', 'val', 'test'):
        dataset = cfg.get(f'{split}_dataloader') if cfg is not None else None
        kinds = []
        while isinstance(dataset, dict) and 'dataset' in dataset:
            dataset = dataset['dataset']
            kinds.append(str(dataset.get('type')))
        images = run.record.get('images', {}).get(split)
        text = '' if images is None else f'{images:,} images, '
        if kinds or text:
            rows.append((split, text + ' of '.join(kinds)))
    parts = [html.pairs(rows)] if rows else []
    if run.digests:
        parts.append(html.pairs([('', line) for line in run.digests]))
    classes = run.record.get('classes')
    if classes:
        names = html.paragraph(', '.join(classes))
        parts.append(html.folded(f'{len(classes)} classes', names))
    return parts or [html.missing('Not recorded.')]


def _configuration(run: RunFolder, cfg: Config | None) -> list[str]:
    if cfg is None or run.config is None:
        return [html.missing('The work dir has no config.')]
    found = [(text, _look_up(cfg, path)) for text, path in MAIN_VALUES.items()]
    text = run.config.read_text('utf-8', errors='replace')
    return [
        html.pairs(
            (name, value) for name, value in found if value is not None
        ),
        html.folded('The whole config', html.code(text)),
    ]


def _look_up(cfg: Config, path: str) -> Any:
    node: Any = cfg
    for key in path.split('.'):
        if not hasattr(node, 'get'):
            return None
        node = node.get(key)
    return node


def _environment(run: RunFolder) -> list[str]:
    record = run.record
    if not record:
        return [html.missing('Not recorded: no run.json.')]
    named = ('started', 'device', 'processes', 'seed', 'platform', 'folder')
    rows = [(name, record[name]) for name in named if name in record]
    rows += list(record.get('versions', {}).items())
    commit = record.get('commit') or 'not run from a working copy'
    rows.append(('commit of vptm_mm', commit))
    return [html.code(str(record.get('command'))), html.pairs(rows)]
