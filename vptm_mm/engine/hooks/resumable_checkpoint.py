"""Writes the checkpoints that a run resumes from, whenever it ends."""

import json
import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import (
    all_reduce,
    barrier,
    broadcast_object_list,
    is_distributed,
)
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from ...host import (
    asked_to_resume,
    loops_of,
    open_datasets,
    resume_from,
)
from ...weights import remove_parts, write_whole
from ..newest_valid_checkpoint import find_newest_valid
from ..resumable_train_loop import VALIDATED
from ..worker_signals import STOP_SIGNALS

INTERRUPTED = 'interrupted.pth'
# EX_TEMPFAIL of sysexits.h: try again later.
EXIT_CODE = 75
SUPERSEDED = 'superseded_best_ckpt'
# In place of ``resume=True``: resume from the newest valid checkpoint of the
# work dir; if there is none, begin with ``load_from``.
AUTO = 'auto'


@HOOKS.register_module()
class ResumableCheckpointHook(CheckpointHook):
    """The host's hook; a run that it serves can end at any moment.

    - Ctrl+C, SIGTERM or SIGUSR1 during training or validation: the
      optimizer's step is finished, ``interrupted.pth`` is written, the process
      ends with exit code 75. All processes of a distributed run stop after
      the same step. A second Ctrl+C ends the process at once.
    - Resuming without a path takes the newest valid checkpoint, and reports
      damaged ones.
    - The best checkpoint is removed when the next best one is written, not
      before. Only files in the run's own folder are removed.
    - The best checkpoint is tested once, when training ends: the result goes
      to the log and to ``test_results.json``. ``vptm test`` with that
      checkpoint gives the same figures. The list of test images is read
      before training: what is missing there is found before the first step.

    With ``backend_args=dict(backend='whole_file')`` a checkpoint is written
    whole or not at all, and with ``max_keep_ckpts=2`` there is one before the
    newest.

    Args:
        *args: Those of ``CheckpointHook``.
        test_best: Whether the best checkpoint is tested.
        **kwargs: Those of ``CheckpointHook``.

    Raises:
        ValueError: If each checkpoint that could be resumed from is damaged.
        SystemExit: After a signal, with code 75.
    """

    _asked_by: str | None = None

    def __init__(
        self, *args: Any, test_best: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.test_best = test_best
        self._handlers: dict[int, Any] = {}

    def before_run(self, runner: Runner) -> None:
        """Choose the checkpoint to resume from; list the test images."""
        self._choose_checkpoint(runner)
        will_train = 'train' in open_datasets(runner)
        if self.test_best and will_train and 'test' in loops_of(runner):
            runner.test_loop  # noqa: B018 (builds it)

    def _choose_checkpoint(self, runner: Runner) -> None:
        resume, path = asked_to_resume(runner)
        if not resume or (resume != AUTO and path is not None):
            return
        folder = self._folder(runner)
        found: list[Path | None] = [None]
        if runner.rank == 0:
            names = (self.filename_tmpl.format('*'), INTERRUPTED)
            paths = [path for name in names for path in folder.glob(name)]
            found = [find_newest_valid(paths)]
        broadcast_object_list(found)
        if found[0] is None:
            runner.logger.info(f'No checkpoint in {folder}: begins.')
            resume_from(runner, None)
        else:
            resume_from(runner, str(found[0]))

    def before_train(self, runner: Runner) -> None:
        """Clean up after a run that was killed, and listen to signals."""
        super().before_train(runner)
        hub = runner.message_hub
        # Paths of a checkpoint may lead to another folder, of a run that this
        # one goes on from or is a copy of. The parent removes best ones, and
        # writes the newest one again when a validation has found a best one.
        self.best_ckpt_path = self._own(getattr(self, 'best_ckpt_path', None))
        for key, path in getattr(self, 'best_ckpt_path_dict', {}).items():
            self.best_ckpt_path_dict[key] = self._own(path)
        self.last_ckpt = self._own(hub.get_info('last_ckpt', None))
        if runner.rank == 0:
            folder = Path(self.out_dir)
            folder.mkdir(parents=True, exist_ok=True)
            remove_parts(folder)
            self._remove_superseded(hub.get_info(SUPERSEDED))
        self._asked_by = None
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                self._handlers[number] = signal.signal(number, self._ask)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Sequence[dict] | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Stop, if asked to and no gradient is left over."""
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        if runner.optim_wrapper.should_update():
            self._stop_if_asked(runner, runner.iter + 1)

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Sequence[dict] | None = None,
        outputs: Sequence | None = None,
    ) -> None:
        """Stop, if asked to: a resumed run validates again."""
        # Processes may have different numbers of batches to validate.
        if not is_distributed():
            self._stop_if_asked(runner, runner.iter)

    def after_val_epoch(self, runner: Runner, metrics: dict) -> None:
        """Keep the best checkpoint."""
        hub = runner.message_hub
        hub.update_info(VALIDATED, runner.iter)
        # The parent removes what it finds here before it writes the next.
        previous = getattr(self, 'best_ckpt_path', None)
        if previous is not None:
            self.best_ckpt_path = None
            hub.update_info(SUPERSEDED, previous)
        super().after_val_epoch(runner, metrics)
        if previous is not None:
            if self.best_ckpt_path is None:
                self.best_ckpt_path = previous
            elif runner.rank == 0:
                self._remove_superseded(previous)
        self._stop_if_asked(runner, runner.iter)

    def after_train(self, runner: Runner) -> None:
        """Give the signals back; test the best checkpoint."""
        self.give_signals_back()
        super().after_train(runner)
        if self.test_best and 'test' in loops_of(runner):
            _test_best(runner)

    def _save_checkpoint_with_step(
        self, runner: Runner, step: int, meta: dict
    ) -> None:
        super()._save_checkpoint_with_step(runner, step, meta)
        if runner.rank == 0:
            Path(self.out_dir, INTERRUPTED).unlink(missing_ok=True)

    def _folder(self, runner: Runner) -> Path:
        if self.out_dir is None:
            return Path(runner.work_dir)
        return Path(self.out_dir, Path(runner.work_dir).name)

    def _own(self, path: str | None) -> str | None:
        """Return the file of the same name in this run's folder, if any."""
        own = None if path is None else Path(self.out_dir, Path(path).name)
        return str(own) if own is not None and own.is_file() else None

    def _remove_superseded(self, path: str | None) -> None:
        own = self._own(path)
        if own is not None and own != self.best_ckpt_path:
            Path(own).unlink(missing_ok=True)

    def _ask(self, number: int, frame: object) -> None:
        self._asked_by = signal.Signals(number).name
        if number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)
            # A signal may come while a stream is being written.
            os.write(
                2,
                b'\nCtrl+C: the run stops after this step, with a checkpoint; '
                b'a second one ends it at once.\n',
            )

    def _stop_if_asked(self, runner: Runner, iteration: int) -> None:
        asked = torch.tensor(int(self._asked_by is not None))
        all_reduce(asked, 'max')
        if not asked:
            return
        runner.save_checkpoint(
            self.out_dir,
            INTERRUPTED,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=dict(epoch=runner.epoch, iter=iteration),
            backend_args=self.backend_args,
            **self.args,
        )
        path = Path(self.out_dir, INTERRUPTED)
        if runner.rank == 0:
            write_whole(
                Path(runner.work_dir, 'last_checkpoint'), os.fsencode(path)
            )
        barrier()
        runner.logger.warning(
            f'Stopped after iteration {iteration} by '
            f'{self._asked_by or "a signal to another process"}: {path}. '
            'The same command with --resume goes on from it.'
        )
        self.give_signals_back()
        raise SystemExit(EXIT_CODE)

    def give_signals_back(self) -> None:
        """Handle signals as before the run."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}


def find_best(runner: Runner) -> Path | None:
    """Return the path of the best checkpoint, also in a moved work dir."""
    best = runner.message_hub.get_info('best_ckpt', None)
    paths = [] if best is None else [Path(best)]
    # A copied work dir has its own.
    paths = [Path(runner.work_dir, path.name) for path in paths] + paths
    # Only rank 0 writes checkpoints and knows them; all must agree.
    known = [next((path for path in paths if path.is_file()), None)]
    broadcast_object_list(known)
    return known[0]


def _test_best(runner: Runner) -> None:
    """Test the best checkpoint by validation, if there is one."""
    path = find_best(runner)
    if path is None:
        runner.logger.warning(
            'No best checkpoint by validation, so none was tested; run '
            'vptm test with the checkpoint of your choice.'
        )
        return
    runner.logger.info(f'Testing the best checkpoint, {path}')
    runner.load_checkpoint(str(path))
    metrics = runner.test_loop.run()
    if runner.rank == 0:
        result = dict(checkpoint=path.name, metrics=metrics)
        # Some metrics are tensors or arrays.
        text = json.dumps(result, indent=2, default=lambda x: x.tolist())
        write_whole(Path(runner.work_dir, 'test_results.json'), f'{text}\n')
