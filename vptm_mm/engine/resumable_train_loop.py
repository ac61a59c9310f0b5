"""A training loop that goes on where a checkpoint was written."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.runner import EpochBasedTrainLoop
from mmpretrain.registry import LOOPS
from torch.nn import Module
from torch.utils.data import DataLoader

from .position_seeds import (
    ITERATIONS,
    may_repeat,
    pipelines,
    seed_generators,
    seed_samples,
)
from .worker_signals import shield_workers

# In the message hub, so that each checkpoint holds them.
EPOCH_START = 'epoch_start'  # epoch, its first iteration, its batches
VALIDATED = 'iter_of_last_validation'  # set by ResumableCheckpointHook


@LOOPS.register_module()
class ResumableTrainLoop(EpochBasedTrainLoop):
    """The host's loop, whose resumed runs end like those left alone.

    A checkpoint from the middle of an epoch is continued there: the batches
    before it are skipped by their indices, without reading an image. What is
    random depends on the position in the run, not on its history, see
    ``position_seeds``; where a wrapper or a sampler repeats images in an
    epoch, or reads them without a pipeline of MMPretrain, augmentation has
    another. A validation that was due and is not in the checkpoint is made up
    for.

    Checkpoints of other loops resume as they do in the host.

    ``max_epochs`` alone says how long a run is: a schedule that would begin
    after it is left out.

    Arguments are those of ``EpochBasedTrainLoop``.

    Raises:
        ValueError: If the loader has no batch.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._first_seed = self.runner.seed
        self._epoch_of_samples = torch.zeros((), dtype=torch.int64)
        if not len(self.dataloader):
            raise ValueError(
                f'{len(self.dataloader.dataset)} training images are too few '
                f'for a batch of {self.dataloader.batch_size} in each process '
                f'(world_size={self.runner.world_size}), and drop_last=True '
                'leaves out what fills none. Set train_dataloader.batch_size '
                'lower, or drop_last=False.'
            )
        schedulers = self.runner.param_schedulers
        if isinstance(schedulers, list):  # not built yet
            begun = [*filter(self._begins, schedulers)]
            self.runner.param_schedulers = begun
            if len(begun) < len(schedulers):
                self.runner.logger.info(
                    f'{len(schedulers) - len(begun)} of {len(schedulers)} '
                    'param_scheduler would begin after the run: left out.'
                )

    def run(self) -> Module:
        """Train, from the beginning or from where the checkpoint is."""
        runner = self.runner
        # The host's tools put a list in its place.
        if isinstance(self.dataloader, DataLoader):
            self._keep_order()
            dataset = self.dataloader.dataset
            if may_repeat(self.dataloader) or not [*pipelines(dataset)]:
                runner.logger.info(
                    f'Images of {type(dataset).__name__} may repeat in an '
                    'epoch, or have no pipeline of MMPretrain: a resumed run '
                    'augments them in its own way.'
                )
            else:
                self._epoch_of_samples = seed_samples(dataset, runner.seed)
            shield_workers(self.dataloader)
        if runner.val_loop is not None:
            shield_workers(runner.val_loop.dataloader)
        runner.call_hook('before_train')
        self._batches_done = self._find_batches_done()
        if self._lacks_validation():
            self._validate_if_due()
        while self.epoch < self.max_epochs and not self.stop_training:
            self.run_epoch()
            self._validate_if_due()
        runner.call_hook('after_train')
        return runner.model

    def run_epoch(self) -> None:
        """Iterate over what is left of an epoch."""
        done, self._batches_done = self._batches_done, 0
        self.runner.message_hub.update_info(
            EPOCH_START,
            [self.epoch, self.iter - done, len(self.dataloader)],
        )
        self._epoch_of_samples.fill_(self.epoch)
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        loader = _rest(self.dataloader, done) if done else self.dataloader
        for index, batch in enumerate(loader, done):
            self.run_iter(index, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def run_iter(self, idx: int, data_batch: Sequence[dict]) -> None:
        """Iterate one batch, with randomness of its own."""
        seed_generators(
            ITERATIONS, self.runner.seed, self.runner.rank, self.iter
        )
        super().run_iter(idx, data_batch)

    def _begins(self, scheduler: Any) -> bool:
        """Whether a schedule begins before the run ends."""
        if not isinstance(scheduler, dict):
            return True
        by_epoch = scheduler.get('by_epoch', True)
        length = self.max_epochs if by_epoch else self.max_iters
        return scheduler.get('begin', 0) < length

    def _find_batches_done(self) -> int:
        """Return how many batches of this epoch the checkpoint has seen."""
        hub = self.runner.message_hub
        epoch, first, batches = hub.get_info(EPOCH_START, [-1, 0, 0])
        done = self.iter - first if epoch == self.epoch else 0
        if not batches or batches == len(self.dataloader):
            return done
        self.runner.logger.warning(
            f'The epoch of the checkpoint has {batches} batches, this run '
            f'{len(self.dataloader)}: '
            + (f'epoch {epoch + 1} begins again. ' if done else '')
            + 'Keep batch size and number of processes to end as without a '
            'break.'
        )
        return 0

    def _keep_order(self) -> None:
        """Order images by the seed of the checkpoint.

        The host takes it over after it has built the sampler.
        """
        sampler = self.dataloader.sampler
        if getattr(sampler, 'seed', None) == self._first_seed:
            sampler.seed = self.runner.seed

    def _lacks_validation(self) -> bool:
        """Whether the run ended between an epoch and its validation."""
        hub = self.runner.message_hub
        return (
            self.epoch > 0
            and not self._batches_done
            and hub.get_info(EPOCH_START) is not None
            and hub.get_info(VALIDATED) != self.iter
        )

    def _validate_if_due(self) -> None:
        self._decide_current_val_interval()
        if (
            self.runner.val_loop is not None
            and self.epoch >= self.val_begin
            and (
                self.epoch % self.val_interval == 0
                or self.epoch == self.max_epochs
            )
        ):
            self.runner.val_loop.run()


def _rest(loader: DataLoader, done: int) -> DataLoader:
    """Return a loader of the batches that are left of this epoch."""
    batches: Any = loader.batch_sampler
    return DataLoader(
        loader.dataset,
        batch_sampler=list(batches)[done:],
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
        prefetch_factor=loader.prefetch_factor,
    )
