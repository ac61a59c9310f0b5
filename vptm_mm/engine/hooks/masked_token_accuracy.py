"""Measures a pre-trained model by the task it was trained on."""

import json
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch import Tensor

from ...weights import write_whole
from ..unwrap import validated_model


@torch.no_grad()
def predict_masked_tokens(
    model: BaseModel, images: Tensor, targets: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Predicted and true token ids at the masked patches of a batch.

    Args:
        model: MMPretrain's ``BEiT`` with a ``BEiTV2Neck``.
        images: What the backbone sees, ``(B, 3, H * p, W * p)``.
        targets: What the tokenizer sees, same shape.
        mask: 1 where a patch is masked, ``(B, H, W)``.

    Returns:
        Two tensors of one entry a masked patch.
    """
    masked = mask.flatten(1).bool()  # (B, N)
    latent = model.backbone(images, mask)
    hidden, _ = model.neck(
        latent, rel_pos_bias=model.backbone.shared_rel_pos_bias
    )  # (B, N, C)
    predicted = model.head.cls_head(hidden[masked]).argmax(-1)
    return predicted, model.target_generator(targets)[masked]


@HOOKS.register_module()
class MaskedTokenAccuracyHook(Hook):
    """Report the accuracy of masked visual tokens on held-out images.

    Chance is what the best constant answer reaches: the share of the most
    frequent token. Written to ``masked_token_accuracy.json`` in the work dir
    and to the log after the last epoch.

    Args:
        dataloader: Config of a loader over held-out images, with masks.
    """

    def __init__(self, dataloader: dict) -> None:
        self.dataloader = dataloader

    def before_train(self, runner: Runner) -> None:
        """List the images: what is missing shows before hours are spent."""
        self._loader = runner.build_dataloader(
            self.dataloader, seed=runner.seed
        )

    def after_train(self, runner: Runner) -> None:
        """Predict every held-out batch and write the two shares."""
        predicted, true, count = [], [], 0
        with validated_model(runner) as model:
            model.eval()
            for batch in self._loader:
                data = model.data_preprocessor(batch, False)
                mask = torch.stack([s.mask for s in data['data_samples']])
                images, targets = data['inputs']
                batch_predicted, batch_true = predict_masked_tokens(
                    model, images, targets, mask
                )
                predicted.append(batch_predicted.cpu())
                true.append(batch_true.cpu())
                count += len(mask)
        # Each rank has read a part of the images.
        answers = torch.cat(all_gather_object(torch.cat(predicted)))
        truth = torch.cat(all_gather_object(torch.cat(true)))
        counts = truth.bincount()
        report: dict[str, Any] = dict(
            accuracy=(answers == truth).float().mean().item(),
            chance=(counts.max() / counts.sum()).item(),
            images=sum(all_gather_object(count)),
            masked_patches=len(truth),
            tokens_seen=int((counts > 0).sum()),
        )
        runner.logger.info(f'Masked visual tokens, held out: {report}')
        if runner.rank == 0:
            path = Path(runner.work_dir) / 'masked_token_accuracy.json'
            text = json.dumps(report, indent=2)
            write_whole(path, f'{text}\n')
