"""Stopping and going on, within one process."""

import argparse
import signal
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.hooks import Hook

from vptm_mm.checkpoints import load_file
from vptm_mm.engine.launch import finish_config

from ..conftest import ROOT
from .made_digits import digits_runner, read_log_of


class Ask(Hook):
    """Send this process a signal before one of its iterations."""

    def __init__(self, iteration):
        self.iteration = iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.iteration:
            signal.raise_signal(signal.SIGTERM)


def stop(folder: Path, iteration: int, **options) -> dict:
    """Train until a signal; return what stands in the checkpoint."""
    runner = digits_runner(folder, **options)
    runner.register_hook(Ask(iteration))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit, match='^75$'):
        runner.train()
    assert signal.getsignal(signal.SIGTERM) is before
    return load_file(folder / 'interrupted.pth')


def resume(folder: Path, **options):
    runner = digits_runner(folder, resume=True, **options)
    runner.train()
    return runner, read_log_of(runner)


def test_a_step_is_finished(tmp_path):
    assert stop(tmp_path, 0)['meta']['iter'] == 1
    runner, log = resume(tmp_path)
    assert 'resumed epoch: 0, iter: 1' in log
    assert len(runner.message_hub.get_scalar('train/loss').data[0]) == 2
    assert not (tmp_path / 'interrupted.pth').exists()


def test_a_step_over_several_batches_is_finished(tmp_path):
    """Gradients that wait for their step are in no checkpoint."""
    options = {
        'optim_wrapper.accumulative_counts': 2,
        'train_dataloader.batch_size': 16,
    }
    assert stop(tmp_path, 0, **options)['meta']['iter'] == 2


def test_another_batch_size_begins_the_epoch_anew(tmp_path):
    stop(tmp_path, 1, **{'train_dataloader.batch_size': 16})
    runner, log = resume(tmp_path)
    assert (
        'The epoch of the checkpoint has 4 batches, this run 2: epoch 1 '
        'begins anew, and rates' in log
    )
    assert runner.iter == 2 + 2


def test_another_batch_size_after_an_epoch_is_told(tmp_path):
    digits_runner(tmp_path, **{'train_dataloader.batch_size': 16}).train()
    runner, log = resume(tmp_path, **{'train_cfg.max_epochs': 2})
    assert 'has 4 batches, this run 2: rates that change with' in log
    assert 'begins anew' not in log
    # The schedule of the checkpoint: 3 epochs of 4 batches.
    assert runner.param_schedulers[1].end == 12


def test_a_drawn_seed_is_resumed_with_its_order_of_images(tmp_path):
    options = {'randomness.seed': None, 'train_dataloader.batch_size': 16}
    seed = stop(tmp_path, 1, **options)['meta']['seed']
    runner, _ = resume(tmp_path, **options)
    assert runner.seed == seed
    assert runner.train_dataloader.sampler.seed == seed


def test_a_checkpoint_of_the_hosts_loop_resumes_as_there(tmp_path):
    loop = dict(_delete_=True, by_epoch=True, max_epochs=1, val_interval=1)
    digits_runner(tmp_path, train_cfg=loop).train()
    runner, log = resume(tmp_path, **{'train_cfg.max_epochs': 2})
    assert 'resumed epoch: 1, iter: 2' in log
    steps = runner.message_hub.get_info('iterations_of_validations')
    assert steps == [2, 4]


def test_nothing_to_resume_from(tmp_path):
    _, log = resume(tmp_path)
    assert f'No checkpoint in {tmp_path}: begins anew.' in log


def test_nothing_whole_to_resume_from(tmp_path):
    (tmp_path / 'epoch_1.pth').write_bytes(b'')
    runner = digits_runner(tmp_path, resume=True)
    with pytest.raises(ValueError, match='no checkpoint can be resumed from'):
        runner.train()


def test_a_folder_for_checkpoints_of_several_runs(tmp_path):
    folder = tmp_path / 'checkpoints'
    options = {'default_hooks.checkpoint.out_dir': str(folder)}
    digits_runner(tmp_path / 'run', **options).train()
    assert (folder / 'run' / 'epoch_1.pth').is_file()
    _, log = resume(tmp_path / 'run', **options)
    assert 'resumed epoch: 1, iter: 2' in log


def test_the_best_stays_until_the_next_is_known(tmp_path, monkeypatch):
    """A disk that is full when the next best one is to be written."""
    runner = digits_runner(tmp_path, **{'train_cfg.max_epochs': 2})
    save = runner.save_checkpoint
    best = tmp_path / 'best_accuracy_top1_epoch_1.pth'

    def fail(folder, filename, *args, **options):
        if filename == 'best_accuracy_top1_epoch_2.pth':
            raise RuntimeError('full')
        save(folder, filename, *args, **options)

    def better(metrics):
        return lambda *_, **__: {'accuracy/top1': metrics.pop()}

    monkeypatch.setattr(runner, 'save_checkpoint', fail)
    monkeypatch.setattr(runner.val_evaluator, 'evaluate', better([60.0, 50.0]))
    with pytest.raises(RuntimeError, match='full'):
        runner.train()
    assert best.is_file()


def test_by_epoch_on_top_of_a_config_that_names_its_loop():
    cfg = Config.fromfile(ROOT / 'configs' / 'vptm_beitv2-tiny_digits.py')
    cfg.merge_from_dict({'train_cfg.by_epoch': True})
    flags = argparse.Namespace(cfg_options={}, no_pin_memory=False)
    finish_config(cfg, flags, persistent_workers=True)
    assert cfg.train_cfg.type == 'ResumableTrainLoop'
    assert 'by_epoch' not in cfg.train_cfg
