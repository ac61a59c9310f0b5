"""Masked visual tokens, and a teacher's view of the whole image.

Symbols: B batch; N patches; C embedding width; E width of a teacher's vector.
"""

from typing import Any

import torch
from mmpretrain.models.selfsup import BEiT
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from ..nn import require_int


@MODELS.register_module()
class DistilledBEiT(BEiT):
    """BEiT v2 whose final [CLS] predicts what a teacher says of the image.

    Masked token prediction alone is slow to bring the meaning of an image
    into [CLS]. Here a linear layer predicts, from the [CLS] of the masked
    image, the vector that a teacher gives the whole one:
    ``LoadKeptTokens`` has put it into the data sample as ``image_feature``.
    The loss is 1 minus their cosine, times a weight.

    Args:
        image_dims: Width E of the vectors.
        distillation_weight: Of the loss, beside those of the tokens.
        **kwargs: Of MMPretrain's ``BEiT``, with a neck.
    """

    def __init__(
        self,
        *,
        image_dims: int,
        distillation_weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        require_int('image_dims', image_dims, 1)
        self.distillation_head = nn.Linear(
            self.backbone.embed_dims, image_dims
        )
        self.distillation_loss = MODELS.build(
            dict(
                type='CosineSimilarityLoss',
                shift_factor=distillation_weight,
                scale_factor=distillation_weight,
            )
        )

    def loss(
        self,
        inputs: list[Tensor],
        data_samples: list[DataSample],
        **kwargs: Any,
    ) -> dict[str, Tensor]:
        """Losses of the tokens, as the host's, and that of [CLS]."""
        mask = torch.stack([sample.mask for sample in data_samples])
        states = self.backbone(inputs[0], mask)
        loss_1, loss_2 = self.head.loss(
            *self.neck(states, rel_pos_bias=self.backbone.shared_rel_pos_bias),
            self.target_generator(inputs[1]),
            mask,
        )
        cls_token = self.neck.norm(states[-1][:, 0])  # (B, C)
        targets = torch.stack([one.image_feature for one in data_samples])
        loss_cls = self.distillation_loss(
            self.distillation_head(cls_token), targets
        )
        return dict(loss_1=loss_1, loss_2=loss_2, loss_cls=loss_cls)
