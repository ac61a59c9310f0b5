"""Class scores from the predicted visual token, as an MMPretrain head.

Symbols: B batch; K classes; d prototype dimension.
"""

from typing import Any

import torch
from mmpretrain.models import ClsHead
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

from ..nn import (
    PrototypicalVerbalizer,
    instance_loss,
    is_finite,
    part_of,
    require_same_state,
)

PROTOTYPE_INITS = (
    'xavier',
    'class_mean',
    'discriminant',
    'regularized_discriminant',
)


@MODELS.register_module()
class PrototypeVerbalizerHead(ClsHead):
    """Prototypical verbalizer: one prototype a class, cosine similarity.

    The verbalizer of ProtoVerb <https://arxiv.org/abs/2203.09770> as VPTM
    <https://arxiv.org/abs/2303.04998> puts it on a predicted visual token.
    It takes the last feature of any backbone or neck that is ``(B, C)``.

    Args:
        num_classes: Classes K.
        in_channels: Width of the feature: ``out_channels`` of a
            ``VPTMBackbone``.
        prototype_dim: Width d of a prototype.
        temperature: Scores are cosines divided by it.
        learnable_temperature: Whether training changes the temperature.
        instance_loss_weight: Weight of the instance-instance loss.
        prototype_init: ``'xavier'`` initialises them. ``'class_mean'``: a hook
            (``ClassMeanPrototypesHook``) sets each prototype to the mean of
            its class before the first epoch. ``'discriminant'``: that hook
            first sets the projection to the linear discriminants of the
            training images. ``'regularized_discriminant'``: to those that
            compare with the differences within classes.
        loss: Config of the instance-prototype loss.
        topk: Ranks of the training accuracy.
        cal_acc: Whether to compute the training accuracy.
        init_cfg: As in MMPretrain.

    Shape:
        - Input: a tuple whose last entry is ``(B, in_channels)``
        - Output: raw scores, ``(B, K)``

    Raises:
        ValueError: If an option is out of range, or a feature has another
            shape.
        RuntimeError: If the prototypes are to be class means and nobody set
            them.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        prototype_dim: int = 128,
        temperature: float = 0.1,
        learnable_temperature: bool = False,
        instance_loss_weight: float = 0.0,
        prototype_init: str = 'xavier',
        loss: dict | None = None,
        topk: int | tuple[int, ...] = (1,),
        cal_acc: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            loss=loss or dict(type='CrossEntropyLoss'),
            topk=topk,
            cal_acc=cal_acc,
            init_cfg=init_cfg,
        )
        if not is_finite(instance_loss_weight) or instance_loss_weight < 0:
            raise ValueError(
                f'instance_loss_weight={instance_loss_weight!r} must be '
                'finite and >= 0.'
            )
        if prototype_init not in PROTOTYPE_INITS:
            raise ValueError(
                f'prototype_init={prototype_init!r} must be one of '
                f'{PROTOTYPE_INITS}.'
            )
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.instance_loss_weight = instance_loss_weight
        self.prototype_init = prototype_init
        self.verbalizer = PrototypicalVerbalizer(
            in_channels,
            num_classes,
            prototype_dim,
            temperature,
            learnable_temperature,
        )
        # True until somebody sets the class means.
        self.awaits_class_means = prototype_init != 'xavier'

    # What belongs to the classes; the rest serves other classes, too.
    class_tensors = ('verbalizer.prototypes',)

    def restart_prototypes(self) -> None:
        """Wait for class means again, where prototypes are to be these."""
        self.awaits_class_means = self.prototype_init != 'xavier'

    def set_class_means(self, means: Tensor) -> None:
        """Set the prototypes to class means of ``pre_logits``, ``(K, d)``."""
        self.verbalizer.set_prototypes(means)
        self.awaits_class_means = False

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, *args: Any
    ) -> None:
        given = part_of(state_dict, prefix)
        if given:
            # mmengine would only warn, and leave random prototypes.
            require_same_state(
                self.state_dict(),
                given,
                'the checkpoint does not fit PrototypeVerbalizerHead',
            )
            self.awaits_class_means = False
        super()._load_from_state_dict(state_dict, prefix, *args)

    def last_feature(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Return the last feature, ``(B, in_channels)``."""
        feature = feats[-1]
        if feature.ndim != 2 or feature.size(1) != self.in_channels:
            raise ValueError(
                f'feature of shape {tuple(feature.shape)} must be (B, '
                f'in_channels={self.in_channels}); set model.head.in_channels='
                f"{feature.size(1)}, and neck=dict(type='GlobalAveragePooling'"
                ') where the backbone returns feature maps.'
            )
        return feature

    def pre_logits(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Project the last feature to the space of the prototypes."""
        return self.verbalizer.projection(self.last_feature(feats))  # (B, d)

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        return self._scores(self.pre_logits(feats))  # (B, K)

    def _scores(self, projected: Tensor) -> Tensor:
        if self.awaits_class_means:
            raise RuntimeError(
                f'prototype_init={self.prototype_init!r}, but no class means '
                'were set; add '
                "class_means=dict(type='ClassMeanPrototypesHook') to "
                'default_hooks, or load a checkpoint.'
            )
        return self.verbalizer(projected)

    def loss(
        self,
        feats: tuple[Tensor, ...],
        data_samples: list[DataSample],
        **kwargs: object,
    ) -> dict[str, Tensor]:
        """Instance-prototype loss and, if weighted, instance-instance loss.

        An image that mixup or cutmix made of several classes takes no part in
        the instance-instance loss: it has no class of its own.
        """
        projected = self.pre_logits(feats)
        losses = self._get_loss(
            self._scores(projected), data_samples, **kwargs
        )
        if self.instance_loss_weight:
            labels, pure = _hard_labels(data_samples)
            losses['loss_instance'] = (
                self.instance_loss_weight
                * instance_loss(
                    projected[pure], labels[pure], self.verbalizer.temperature
                )
            )
        return losses


def _hard_labels(
    data_samples: list[DataSample],
) -> tuple[Tensor, Tensor | slice]:
    """The class of each sample, and which samples have just one."""
    if 'gt_score' in data_samples[0]:
        share, labels = torch.stack([s.gt_score for s in data_samples]).max(1)
        return labels, share.float() > 1 - 1e-3
    labels = torch.cat([s.gt_label for s in data_samples])
    return labels, slice(None)
