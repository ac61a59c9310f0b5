"""What a classifier says of images.

Symbols: B images; d prototype dimension, or the width of any feature.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch import Tensor

from ..host import dataset_meta
from ..progress import progress
from .images import open_split, true_labels


@dataclass(frozen=True)
class Predictions:
    """What a classifier says of images.

    Args:
        labels: True classes, ``(B,)``; None if the images have none.
        predicted: Predicted classes, ``(B,)``.
        confidence: Scores of the predicted classes, 0-1, ``(B,)``.
        features: As ``predict`` was asked for them, ``(B, d)``.
    """

    labels: Tensor | None
    predicted: Tensor
    confidence: Tensor
    features: Tensor


@torch.no_grad()
def predict(
    model: Any,
    batches: Iterable[dict],
    feature: Callable[[Any, tuple[Tensor, ...]], Tensor] | None = None,
) -> Predictions:
    """Run a classifier over batches of images.

    Args:
        model: Any classifier of MMPretrain.
        batches: What its data loaders give.
        feature: Returns what is kept of a batch, given the model and what its
            backbone returns; None to keep nothing.

    Raises:
        ValueError: If an image has several classes.
    """
    labels: list[Tensor | None] = []
    predicted, confidence, features = [], [], [torch.empty(0)]
    for batch in batches:
        data = model.data_preprocessor(batch, False)
        feats = model.extract_feat(data['inputs'])
        samples = model.head.predict(feats, data['data_samples'])
        labels.append(true_labels(samples))
        predicted += [sample.pred_label.view(-1) for sample in samples]
        confidence += [sample.pred_score.max().view(1) for sample in samples]
        if feature is not None:
            features.append(feature(model, feats).cpu())
    known = [label for label in labels if label is not None]
    return Predictions(
        labels=torch.cat(known) if len(known) == len(labels) else None,
        predicted=torch.cat(predicted).cpu(),
        confidence=torch.cat(confidence).float().cpu(),
        features=torch.cat(features[1:] or features),
    )


def split_batches(cfg: Config, split: str) -> tuple[Any, Iterable[dict]]:
    """Return a data set of a config, and its batches in its order.

    Images are prepared as those of the test.

    Args:
        cfg: The config.
        split: ``'test'``, ``'val'`` or ``'train'``.
    """
    dataset = open_split(cfg, split)
    loader = dict(
        cfg[f'{split}_dataloader'],
        dataset=dataset,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='default_collate'),
    )
    batches = Runner.build_dataloader(loader)
    return dataset, progress(batches, f'{split} images')


def pre_logits(model: Any, feats: tuple[Tensor, ...]) -> Tensor:
    """Return what the head compares with the classes, ``(B, d)``.

    Raises:
        ValueError: If it has no such feature.
    """
    name = type(model.head).__name__
    if not hasattr(model.head, 'pre_logits'):
        raise ValueError(
            f'{name} has no pre_logits, the feature that is shown; take '
            'PrototypeVerbalizerHead, LinearClsHead or another head with it.'
        )
    feature = model.head.pre_logits(feats)
    if not isinstance(feature, Tensor) or feature.ndim != 2:
        raise ValueError(
            f'pre_logits of {name} is not a feature of shape (B, d)'
        )
    return feature


def class_names(model: Any, dataset: object = None) -> list[str]:
    """Names of the classes: of the checkpoint, of the data set, or numbers."""
    for meta in dataset_meta(model), getattr(dataset, 'metainfo', None):
        if names := (meta or {}).get('classes'):
            return [str(name) for name in names]
    return [str(i) for i in range(model.head.num_classes)]
