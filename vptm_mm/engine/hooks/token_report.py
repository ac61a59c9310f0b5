"""Reports how a visual tokenizer uses its codebook."""

import json
from pathlib import Path

import torch
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch import Tensor

from ...checkpoints import write_whole
from ..token_statistics import token_statistics
from ..unwrap import unwrap_model


@HOOKS.register_module()
class TokenReportHook(Hook):
    """Write ``visual_tokens.json`` after training: use, perplexity, NMI.

    Args:
        dataloader: Config of a loader over held-out images; where they have
            labels, the mutual information with them is reported.
    """

    def __init__(self, dataloader: dict) -> None:
        self.dataloader = dataloader

    def before_train(self, runner: Runner) -> None:
        """List the images: what is missing shows before hours are spent."""
        self._loader = runner.build_dataloader(
            self.dataloader, seed=runner.seed
        )

    @torch.no_grad()
    def after_train(self, runner: Runner) -> None:
        """Turn every held-out image into tokens and describe them."""
        model = unwrap_model(runner.model)
        model.eval()
        tokens, labels = [], []
        for batch in self._loader:
            data = model.data_preprocessor(batch, False)
            tokens.append(_tokens(model, data['inputs']).cpu())
            labels += [
                sample.gt_label.cpu()
                for sample in data['data_samples']
                if 'gt_label' in sample
            ]
        all_tokens = torch.cat(all_gather_object(torch.cat(tokens)))
        all_labels: list[Tensor] = sum(all_gather_object(labels), [])
        report = token_statistics(
            all_tokens,
            _tokenizer(model).num_visual_tokens,
            torch.cat(all_labels) if all_labels else None,
        )
        runner.logger.info(f'Visual tokens, held out: {report}')
        if runner.rank == 0:
            path = Path(runner.work_dir) / 'visual_tokens.json'
            write_whole(path, f'{json.dumps(report, indent=2)}\n'.encode())


def _tokenizer(model: BaseModel) -> BaseModel:
    """The tokenizer of MMPretrain's ``BEiT``, or one that is distilled."""
    return getattr(model, 'target_generator', None) or model.tokenizer


def _tokens(model: BaseModel, inputs: Tensor | list[Tensor]) -> Tensor:
    # BEiT's loaders give two views; the second is the tokenizer's.
    images = inputs if isinstance(inputs, Tensor) else inputs[-1]
    return _tokenizer(model)(images).flatten(1)
