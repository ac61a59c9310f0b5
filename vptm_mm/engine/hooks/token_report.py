"""Reports how a visual tokenizer uses its codebook."""

import json
import math
from pathlib import Path

import torch
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch import Tensor
from torch.utils.data import DataLoader

from ...weights import write_whole
from ..token_statistics import token_statistics
from ..unwrap import validated_model


@HOOKS.register_module()
class TokenReportHook(Hook):
    """Write ``visual_tokens.json`` after training: use, perplexity, AMI.

    A few held-out images cannot hold all of a codebook, so use and perplexity
    are also reported of training images, as training crops them.

    Args:
        dataloader: Config of a loader over held-out images; where they have
            labels, the mutual information with them is reported.
        max_patches: Patches of training images that are read in each process,
            rounded up to whole batches.

    Raises:
        ValueError: If ``max_patches`` < 1.
    """

    def __init__(self, dataloader: dict, max_patches: int = 50_000) -> None:
        if max_patches < 1:
            raise ValueError(f'max_patches={max_patches} must be >= 1.')
        self.dataloader = dataloader
        self.max_patches = max_patches

    def before_train(self, runner: Runner) -> None:
        """List the images: what is missing shows before hours are spent."""
        self._loader = runner.build_dataloader(
            self.dataloader, seed=runner.seed
        )

    @torch.no_grad()
    def after_train(self, runner: Runner) -> None:
        """Turn images into tokens and describe them."""
        with validated_model(runner) as model:
            model.eval()
            held_out, labels = _read(model, self._loader)
            trained, _ = _read(
                model, runner.train_dataloader, self.max_patches
            )
        size = _tokenizer(model).num_visual_tokens
        report = token_statistics(held_out, size, labels)
        for name, value in token_statistics(trained, size).items():
            report[f'training_{name}'] = value
        runner.logger.info(f'Visual tokens: {report}')
        if runner.rank == 0:
            path = Path(runner.work_dir) / 'visual_tokens.json'
            write_whole(path, f'{json.dumps(report, indent=2)}\n')


def _tokenizer(model: BaseModel) -> BaseModel:
    """The tokenizer of MMPretrain's ``BEiT``, or one that is distilled."""
    return getattr(model, 'target_generator', None) or model.tokenizer


def _tokens(model: BaseModel, inputs: Tensor | list[Tensor]) -> Tensor:
    # BEiT's loaders give two views; the second is the tokenizer's.
    images = inputs if isinstance(inputs, Tensor) else inputs[-1]
    return _tokenizer(model)(images).flatten(1)


def _read(
    model: BaseModel, loader: DataLoader, max_patches: float = math.inf
) -> tuple[Tensor, Tensor | None]:
    """Tokens and labels, if there are any, of the images of all processes."""
    tokens: list[Tensor] = []
    labels: list[Tensor] = []
    for batch in loader:
        data = model.data_preprocessor(batch, False)
        tokens.append(_tokens(model, data['inputs']).cpu())
        labels += [
            sample.gt_label.cpu()
            for sample in data['data_samples']
            if 'gt_label' in sample
        ]
        max_patches -= tokens[-1].numel()
        if max_patches <= 0:
            break
    all_tokens = torch.cat(all_gather_object(torch.cat(tokens)))
    all_labels: list[Tensor] = sum(all_gather_object(labels), [])
    return all_tokens, torch.cat(all_labels) if all_labels else None
