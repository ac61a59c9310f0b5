"""A work dir as a run leaves it, made without a run."""

import json
from pathlib import Path

import numpy as np

from vptm_mm.report.tested import Mistake, Tested

CONFIG = """
model = dict(
    type='ImageClassifier',
    backbone=dict(type='VPTMBackbone', prompt_length=7, init_cfg=None),
    head=dict(type='PrototypeVerbalizerHead', num_classes=3),
)
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=0.25))
train_dataloader = dict(
    batch_size=5,
    dataset=dict(type='KShot', dataset=dict(type='SklearnDigits')),
)
note = '<b>"quoted" & bold</b>'
"""
PIXEL = 'data:image/jpeg;base64,AAAA'
RECORD = dict(
    command="python tools/train.py 'a <b> config.py'",
    folder='/somewhere',
    started='2026-01-02T03:04:05+00:00',
    seed=5,
    device='a <device>',
    versions=dict(torch='9.9'),
    commit='0123456789ab',
    tuned={'prompts': [1, 7, 16], 'prototypes': [3, 8]},
    parameters=13600,
    images=dict(train=9, val=6),
    classes=['<script>alert(1)</script>', 'a & b', '"c"'],
)


def points(first: int, last: int, loss: float) -> list[dict]:
    """Lines of ``scalars.json``: a point an iteration, validation every 5."""
    lines: list[dict] = []
    for i in range(first, last + 1):
        lines.append(dict(lr=1 / i, loss=loss, iter=i, step=i))
        lines.append({'tuning/grad_norm': 2.0, 'iter': i, 'step': i})
        if i % 5 == 0:
            lines.append({'accuracy/top1': float(i), 'step': i // 5})
    return lines


def make_start(folder: Path, name: str, lines: list[dict]) -> Path:
    """A start: its curves, config and record."""
    start = folder / name
    vis_data = start / 'vis_data'
    vis_data.mkdir(parents=True)
    text = ''.join(json.dumps(line) + '\n' for line in lines)
    (vis_data / 'scalars.json').write_text(text)
    (vis_data / 'config.py').write_text(CONFIG)
    (start / 'run.json').write_text(json.dumps(RECORD))
    return start


def make_run(folder: Path) -> Path:
    """One start of ten iterations, tested."""
    make_start(folder, '20260102_030405', points(1, 10, 0.5))
    (folder / 'best_accuracy_top1_epoch_2.pth').write_bytes(b'')
    (folder / 'test_results.json').write_text(
        json.dumps(
            dict(
                checkpoint='best_accuracy_top1_epoch_2.pth',
                metrics={'accuracy/top1': 62.5},
            )
        )
    )
    return folder


def make_tested(
    num_classes: int = 3, names: list[str] | None = None
) -> Tested:
    """Four images a class; of every odd class one is taken for the next."""
    labels = np.repeat(np.arange(num_classes), 4)
    predicted = labels.copy()
    wrong = np.arange(4, len(labels), 8)
    predicted[wrong] = (labels[wrong] + 1) % num_classes
    return Tested(
        labels=labels,
        predicted=predicted,
        classes=names or [f'class {i}' for i in range(num_classes)],
        checkpoint='best_accuracy_top1_epoch_2.pth',
        mistakes=[Mistake('4.jpg', 'a & b', '"c"', 0.75, PIXEL)],
    )
