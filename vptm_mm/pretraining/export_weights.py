"""Writes the part of a pre-training run that others read."""

from pathlib import Path

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from ..engine.unwrap import validated_model
from ..nn import without_derived
from ..weights import open_whole, preprocessing_of
from ..weights.preprocessing import META

# The auxiliary layers serve pre-training only, as do decoder and teacher.
PARTS = dict(
    backbone=('backbone.', 'neck.norm.', 'head.cls_head.'),
    tokenizer=('tokenizer.',),
)
DTYPES = ('float32', 'float16')


@HOOKS.register_module()
class ExportWeightsHook(Hook):
    """Write a backbone or a tokenizer after pre-training.

    The file has MMPretrain's layout, so that ``VPTMBackbone``, or
    ``VQKDTokenizer``, reads it by
    ``init_cfg=dict(type='Pretrained', checkpoint=...)``. It says how images
    were normalised, which is compared with the classifier's. With ``EMAHook``
    it holds the averages, which were validated.

    Args:
        filename: Name of the file in the work dir.
        part: ``'backbone'``, with final norm and token predictor, or
            ``'tokenizer'``: that of ``VQKDDistiller``.
        dtype: ``'float32'``, or ``'float16'`` for half the size.

    Raises:
        ValueError: If ``part`` or ``dtype`` is neither.
    """

    def __init__(
        self, filename: str, part: str = 'backbone', dtype: str = 'float32'
    ) -> None:
        if part not in PARTS:
            raise ValueError(f'part={part!r} must be one of {tuple(PARTS)}.')
        if dtype not in DTYPES:
            raise ValueError(f'dtype={dtype!r} must be one of {DTYPES}.')
        self.filename = filename
        self.parts = PARTS[part]
        self.dtype = getattr(torch, dtype)

    def after_train(self, runner: Runner) -> None:
        """Write the file from rank 0."""
        if runner.rank != 0:
            return
        with validated_model(runner) as model:
            tensors = {
                name: tensor.cpu().to(self.dtype, copy=True)
                if tensor.is_floating_point()
                else tensor.cpu().clone()
                for name, tensor in without_derived(model.state_dict()).items()
                if name.startswith(self.parts)
            }
        path = Path(runner.work_dir) / self.filename
        meta = {}
        preprocessing = preprocessing_of(model.data_preprocessor)
        if preprocessing is not None:
            meta[META] = preprocessing._asdict()
        with open_whole(path) as file:
            torch.save(dict(state_dict=tensors, meta=meta), file)
        runner.logger.info(
            f'Exported to {path}: {len(tensors)} tensors, '
            f'{path.stat().st_size / 1e6:.2f} MB.'
        )
