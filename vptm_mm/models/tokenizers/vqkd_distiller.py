"""Trains the visual tokenizer of BEiT v2 against a teacher.

Symbols: B batch; N patches, H x W of them; E width of a codebook entry.
"""

import torch.nn.functional as F
from mmengine.model import BaseModel
from mmpretrain.models import BEiTViT
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from .feature_teacher import FeatureTeacher
from .vqkd_tokenizer import VQKDTokenizer


@MODELS.register_module()
class VQKDDistiller(BaseModel):
    """Vector-quantized knowledge distillation.

    The decoder sees the codebook entries of an image and predicts the
    teacher's feature of each patch: the loss is 1 minus their cosine, plus
    that of the quantizer. BEiT v2 <https://arxiv.org/abs/2208.06366>,
    section 2.2. Encoder, decoder and quantizer are trained; the teacher is
    frozen.

    Args:
        tokenizer: Config of ``VQKDTokenizer``, without weights.
        decoder: Arguments of MMPretrain's ``BEiTViT``; its input, a map of
            entries, and its output are set here.
        teacher: Config of a backbone, as ``FeatureTeacher`` takes it.
        teacher_dims: Width of the teacher's features.
        data_preprocessor: Config.
        init_cfg: Initialisation of the decoder.

    Shape:
        - Input: ``(B, 3, img_size, img_size)``, or a list that ends with it
        - Output, in mode ``'tensor'``: ``(B, N)`` token ids
    """

    def __init__(
        self,
        tokenizer: dict,
        decoder: dict,
        teacher: dict,
        teacher_dims: int,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.tokenizer: VQKDTokenizer = MODELS.build(tokenizer)
        rows = self.tokenizer.encoder.patch_resolution[0]
        self.decoder = BEiTViT(
            **decoder,
            img_size=rows,
            patch_size=1,
            in_channels=self.tokenizer.quantize.embedding.weight.shape[1],
            out_type='featmap',
        )
        width = self.decoder.embed_dims
        self.decode_task_layer = nn.Sequential(
            nn.Linear(width, width), nn.Tanh(), nn.Linear(width, teacher_dims)
        )
        self.teacher = FeatureTeacher(teacher, teacher_dims, rows)

    def forward(
        self,
        inputs: Tensor | list[Tensor],
        data_samples: list,
        mode: str = 'tensor',
    ) -> Tensor | dict[str, Tensor]:
        """Token ids, or the losses in mode ``'loss'``."""
        # Pipelines of BEiT give two views; the second is the tokenizer's.
        images = inputs if isinstance(inputs, Tensor) else inputs[-1]
        if mode != 'loss':
            return self.tokenizer(images)
        target = self.teacher(images)  # (B, N, teacher_dims)
        entries, _, loss = self.tokenizer.encode(images)  # (B, E, H, W)
        decoded = self.decoder(entries)[-1]  # (B, C, H, W)
        predicted = self.decode_task_layer(decoded.flatten(2).transpose(1, 2))
        cosine = F.cosine_similarity(predicted, target, dim=-1)  # (B, N)
        return dict(loss_distillation=1 - cosine.mean(), loss_codebook=loss)
