"""What a classifier says of images.

Symbols: B images; d prototype dimension, or the width of any head's feature.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..host import dataset_meta
from .images import true_labels


@dataclass(frozen=True)
class Predictions:
    """What a classifier says of images.

    Args:
        labels: True classes, ``(B,)``; None if the images have none.
        predicted: Predicted classes, ``(B,)``.
        confidence: Scores of the predicted classes, 0-1, ``(B,)``.
        features: What the head compares with the classes, ``pre_logits``,
            ``(B, d)``; None if they were not asked for.
    """

    labels: Tensor | None
    predicted: Tensor
    confidence: Tensor
    features: Tensor | None = None


@torch.no_grad()
def predict(
    model: Any, batches: Iterable[dict], with_features: bool = False
) -> Predictions:
    """Run a classifier over batches of images.

    Args:
        model: Any classifier of MMPretrain.
        batches: What its data loaders give.
        with_features: Whether to keep ``pre_logits``.

    Raises:
        ValueError: If ``with_features`` and its head has no feature a row, or
            an image has several classes.
    """
    labels: list[Tensor | None] = []
    predicted, confidence, features = [], [], []
    for batch in batches:
        data = model.data_preprocessor(batch, False)
        feats = model.extract_feat(data['inputs'])
        samples = model.head.predict(feats, data['data_samples'])
        labels.append(true_labels(samples))
        predicted += [sample.pred_label.view(-1) for sample in samples]
        confidence += [sample.pred_score.max().view(1) for sample in samples]
        if with_features:
            features.append(_pre_logits(model, feats).cpu())
    known = [label for label in labels if label is not None]
    return Predictions(
        labels=torch.cat(known) if len(known) == len(labels) else None,
        predicted=torch.cat(predicted).cpu(),
        confidence=torch.cat(confidence).float().cpu(),
        features=torch.cat(features) if with_features else None,
    )


def _pre_logits(model: Any, feats: tuple[Tensor, ...]) -> Tensor:
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
    for meta in (
        dataset_meta(model),
        getattr(dataset, 'metainfo', None),
    ):
        names = (meta or {}).get('classes')
        if names:
            return [str(name) for name in names]
    return [str(i) for i in range(model.head.num_classes)]
