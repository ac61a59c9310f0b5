"""Keeps what the frozen blocks before the first prompts compute.

Symbols: R views; n images; S sequence length; C embedding width; D blocks;
k blocks before the first prompts.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from math import prod
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from mmengine.dataset import pseudo_collate
from mmengine.dist import barrier
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmpretrain.registry import HOOKS
from torch import Tensor
from torch.utils.data import DataLoader

from ...host import loops_of
from ...nn import require_int, require_list
from ...progress import progress
from ..position_seeds import SampleSeed
from ..prefix_key import cache_key
from ..prefix_states import (
    DTYPES,
    CachedInputs,
    StatePreprocessor,
    leaf_datasets,
    read_states,
    write_states,
)
from ..unwrap import unwrap_model

PARTS = ('train', 'val', 'test')


@HOOKS.register_module()
class PrefixCacheHook(Hook):
    """Compute once what training does not change: the first k blocks.

    With late prompts (``prompt_blocks=(k,)``) the states before block k are
    always the same for the same view of an image, so an epoch costs D - k
    blocks. Without prompts, as in a linear probe, all blocks are kept.

    A training image has R fixed views: view r is the augmentation sampled from
    ``seed``, r and the image; epoch e reads view e mod R. Images of the other
    parts have one.

    Args:
        views: Views R of each training image.
        dtype: ``'float32'``, or ``'bfloat16'`` in half the room.
        folder: Folder of files that other runs find again; None keeps the
            states in memory, of each process.
        parts: Which of ``'train'``, ``'val'`` and ``'test'`` are kept.
        seed: Seed of the views.

    Raises:
        ValueError: If an option is out of range; or if nothing can be kept,
            as the first block has prompts, images are mixed, epochs are not
            counted, or a pipeline does not end with ``PackInputs``.
        WriteError: If the disk has no room.
    """

    # Before hooks that read training images.
    priority = 'ABOVE_NORMAL'

    def __init__(
        self,
        views: int = 1,
        dtype: str = 'float32',
        folder: str | None = None,
        parts: Sequence[str] = ('train', 'val'),
        seed: int = 0,
    ) -> None:
        parts = require_list('parts', parts)
        require_int('views', views, 1)
        require_int('seed', seed, 0)
        if dtype not in (*DTYPES,):
            raise ValueError(f'dtype={dtype!r} must be one of {(*DTYPES,)}.')
        if not parts or not set(parts) <= set(PARTS):
            raise ValueError(f'parts={parts} must be some of {PARTS}.')
        self.views = views
        self.dtype = DTYPES[dtype]
        self.folder = None if folder is None else Path(folder).expanduser()
        self.parts = parts
        self.seed = seed
        self._view = torch.zeros((), dtype=torch.int64).share_memory_()

    def before_train(self, runner: Runner) -> None:
        """Keep the training and validation images."""
        if 'train' in self.parts:
            if self.views > 1 and not isinstance(
                runner.train_loop, EpochBasedTrainLoop
            ):
                raise ValueError(
                    f'views={self.views} change with epochs, and '
                    f'{type(runner.train_loop).__name__} counts none; take '
                    'views=1, or a loop of epochs.'
                )
            self._keep(runner, 'train', runner.train_dataloader)
        if 'val' in self.parts and 'val' in loops_of(runner):
            self._keep(runner, 'val', runner.val_dataloader)

    def before_val(self, runner: Runner) -> None:
        """Keep the validation images of a run that does not train."""
        if 'val' in self.parts:
            self._keep(runner, 'val', runner.val_dataloader)

    def before_test(self, runner: Runner) -> None:
        """Keep the test images."""
        if 'test' in self.parts:
            self._keep(runner, 'test', runner.test_dataloader)

    def before_train_epoch(self, runner: Runner) -> None:
        """Choose the view of this epoch."""
        self._view.fill_(runner.epoch % self.views)

    def _keep(self, runner: Runner, part: str, loader: DataLoader) -> None:
        model = unwrap_model(runner.model)
        _require_prefix(model)
        for number, leaf in enumerate(leaf_datasets(loader.dataset)):
            pack = leaf.pipeline.transforms[-1]
            if isinstance(pack, CachedInputs):
                continue
            states = self._states(runner, part, number, leaf, loader)
            view = self._view if part == 'train' else torch.tensor(0)
            leaf.pipeline.transforms[:] = [CachedInputs(states, view, pack)]
        if not isinstance(model.data_preprocessor, StatePreprocessor):
            model.data_preprocessor = StatePreprocessor(
                model.data_preprocessor
            )

    def _states(
        self,
        runner: Runner,
        part: str,
        number: int,
        leaf: Any,
        loader: DataLoader,
    ) -> Tensor:
        """Return all states of a data set, ``(R, n, S, C)``."""
        views = self.views if part == 'train' else 1
        pieces = self._compute(runner, leaf, loader, views)
        if self.folder is None:
            first = next(pieces)
            shape = self._announce(runner, part, (views, len(leaf)), first)
            # Not joined from pieces, which would take twice the memory.
            states = torch.empty(shape, dtype=self.dtype).flatten(0, 1)
            start = 0
            for piece in chain([first], pieces):
                states[start : start + len(piece)] = piece
                start += len(piece)
            return states.view(shape)
        key = cache_key(
            runner.cfg,
            part,
            unwrap_model(runner.model).backbone,
            leaf,
            leaf=number,
            views=views,
            seed=self.seed,
            dtype=str(self.dtype),
        )
        path = self.folder / f'{part}{number}_{key}.safetensors'
        if runner.rank == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            # Another run may want the same file: it waits, and reads it.
            with FileLock(f'{path}.lock'):
                if path.exists():
                    runner.logger.info(f'Prefix cache, {part}: read {path}.')
                else:
                    first = next(pieces)
                    shape = self._announce(
                        runner, part, (views, len(leaf)), first
                    )
                    write_states(
                        path, shape, self.dtype, chain([first], pieces)
                    )
        barrier()
        return read_states(path)

    def _announce(
        self, runner: Runner, part: str, count: tuple[int, int], first: Tensor
    ) -> tuple[int, ...]:
        """Log how large the states are; return their shape."""
        shape = (*count, *first.shape[1:])
        size = prod(shape) * self.dtype.itemsize
        backbone = unwrap_model(runner.model).backbone
        runner.logger.info(
            f'Prefix cache, {part}: {count[1]} images x {count[0]} view(s), '
            f'{shape[2]} states of {shape[3]} in {self.dtype} each: '
            f'{size / 1e6:,.1f} MB in {self.folder or "memory"}, up to block '
            f'{backbone.prefix_depth}.'
        )
        return shape

    @torch.no_grad()
    def _compute(
        self, runner: Runner, leaf: Any, loader: DataLoader, views: int
    ) -> Iterator[Tensor]:
        """Yield the states batch by batch, view by view."""
        model = unwrap_model(runner.model).eval()
        transforms = leaf.pipeline.transforms
        plain = [t for t in transforms if not isinstance(t, SampleSeed)]
        view = torch.zeros((), dtype=torch.int64).share_memory_()
        transforms[:] = [SampleSeed(self.seed, view), *plain]
        batches = DataLoader(
            leaf,
            batch_size=loader.batch_size or 64,
            num_workers=loader.num_workers,
            collate_fn=pseudo_collate,
            worker_init_fn=loader.worker_init_fn,
            multiprocessing_context=loader.multiprocessing_context,
        )
        for number in range(views):
            view.fill_(number)
            for batch in progress(
                batches,
                f'Prefix cache, view {number + 1} of {views}',
                disable=runner.rank != 0,
            ):
                images = model.data_preprocessor(batch, False)['inputs']
                states = model.backbone.run_prefix(images)
                yield states.to('cpu', self.dtype)


def _require_prefix(model: Any) -> None:
    backbone = getattr(model, 'backbone', None)
    if not getattr(backbone, 'prefix_depth', 0):
        raise ValueError(
            f'{type(backbone).__name__} has no block before what it tunes, '
            'so nothing can be kept; set model.backbone.prompt_blocks=(k,) '
            'with k > 0, or remove PrefixCacheHook.'
        )
    if getattr(model.data_preprocessor, 'batch_augments', None) is not None:
        raise ValueError(
            'model.train_cfg.augments mixes images, and states of single '
            'images are kept; remove it, or remove PrefixCacheHook.'
        )
