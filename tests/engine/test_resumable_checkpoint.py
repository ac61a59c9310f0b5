"""Stopping and going on, within one process."""

import shutil
import signal
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.hooks import Hook

from vptm_mm.engine.launch import finish_config
from vptm_mm.verbs.train import resume_or_begin
from vptm_mm.weights import load_file

from ..conftest import ROOT
from .made_digits import digits_runner, read_log_of


class Ask(Hook):
    """Send this process signals before one of its iterations."""

    def __init__(self, iteration, *numbers):
        self.iteration = iteration
        self.numbers = numbers or (signal.SIGTERM,)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.iteration:
            for number in self.numbers:
                signal.raise_signal(number)


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


def test_a_second_ctrl_c_ends_at_once(tmp_path, capfd):
    runner = digits_runner(tmp_path)
    runner.register_hook(Ask(1, signal.SIGINT, signal.SIGINT))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt, match='^$'):
        runner.train()
    signal.signal(signal.SIGTERM, before)
    assert not (tmp_path / 'interrupted.pth').exists()
    assert 'the run stops after this step' in capfd.readouterr().err


@pytest.mark.parametrize('is_copy', [False, True])
def test_another_folder_keeps_its_files(
    is_copy, tmp_path, monkeypatch, finished
):
    first, second = finished, tmp_path / 'second'
    files = sorted(first.glob('*.pth'))
    assert 'best_accuracy_top1_epoch_1.pth' in [path.name for path in files]
    options = {'load_from': str(first / 'epoch_1.pth')}
    if is_copy:
        shutil.copytree(first, second)
        options = {}
    options |= {
        'train_cfg.max_epochs': 4,
        'default_hooks.checkpoint.max_keep_ckpts': 1,
    }
    runner = digits_runner(second, resume=True, **options)
    scores = [99.9, 99.8, 99.7]  # of three better checkpoints
    monkeypatch.setattr(
        runner.val_evaluator,
        'evaluate',
        lambda *_, **__: {'accuracy/top1': scores.pop()},
    )
    runner.train()
    assert sorted(first.glob('*.pth')) == files
    names = sorted(path.name for path in second.glob('*.pth'))
    assert names == ['best_accuracy_top1_epoch_4.pth', 'epoch_4.pth']


def test_the_same_command_starts_and_restarts_with_load_from(
    tmp_path, finished
):
    """What --resume without a path makes of a config with load_from."""
    options = {'load_from': str(finished / 'epoch_1.pth')}
    options |= {'resume': 'auto'}
    runner = digits_runner(tmp_path / 'run', **options)
    runner.train()
    log = read_log_of(runner)
    assert f'Load checkpoint from {options["load_from"]}' in log
    assert 'resumed epoch' not in log
    options |= {'train_cfg.max_epochs': 2}
    runner = digits_runner(tmp_path / 'run', **options)
    runner.train()
    log = read_log_of(runner)
    assert f'Load checkpoint from {tmp_path}/run/epoch_1.pth' in log
    assert 'resumed epoch: 1, iter: 2' in log


def test_resume_and_load_from_with_the_hosts_hook(tmp_path):
    """As above: --resume without a path, of a config that has not ours."""
    found = []
    for name in ('', '/run/epoch_1.pth'):
        cfg = Config(dict(work_dir=str(tmp_path), load_from='weights.pth'))
        (tmp_path / 'last_checkpoint').write_text(name)
        if not name:
            (tmp_path / 'last_checkpoint').unlink()
        resume_or_begin(cfg)
        found.append((cfg.resume, cfg.load_from))
    assert found == [(False, 'weights.pth'), (True, None)]


def test_a_step_over_several_batches_is_finished(tmp_path):
    """Gradients that wait for their step are in no checkpoint."""
    options = {
        'optim_wrapper.accumulative_counts': 2,
        'train_dataloader.batch_size': 16,
    }
    assert stop(tmp_path, 0, **options)['meta']['iter'] == 2


def test_another_batch_size_begins_the_epoch_again(tmp_path):
    stop(tmp_path, 1, **{'train_dataloader.batch_size': 16})
    runner, log = resume(tmp_path)
    assert (
        'The epoch of the checkpoint has 4 batches, this run 2: epoch 1 '
        'begins again.' in log
    )
    assert runner.iter == 2 + 2


def settings(runner) -> list:
    (group, *_) = runner.optim_wrapper.param_groups
    keys = 'lr', 'initial_lr', 'weight_decay', 'betas'
    schedulers = [s.state_dict() for s in runner.param_schedulers]
    return [*(group[key] for key in keys), *schedulers]


@pytest.mark.parametrize(
    ('changes', 'lines'),
    [
        (
            {
                'train_cfg.max_epochs': 4,
                'optim_wrapper.optimizer.lr': 1e-2,
                'optim_wrapper.optimizer.weight_decay': 0.5,
            },
            [
                'initial_lr: 0.001 in the checkpoint, 0.01 in the config',
                'weight_decay: 0.01 in the checkpoint, 0.5 in the config',
            ],
        ),
        (
            {'train_dataloader.batch_size': 16},
            ['  lr: '],
        ),
    ],
)
def test_a_resumed_run_follows_its_config(changes, lines, tmp_path):
    """As one that had these settings from its beginning."""
    common = {
        'train_cfg.max_epochs': 3,
        'param_scheduler.0.end': 1,
        'param_scheduler.1.begin': 1,
        'default_hooks.checkpoint.test_best': False,
    }
    folder, other = tmp_path / 'run', tmp_path / 'other'
    digits_runner(folder, **common).train()
    (folder / 'epoch_3.pth').unlink()  # as if it was killed
    resumed, log = resume(folder, **{**common, **changes})
    assert 'follows the config:' in log
    for line in lines:
        assert line in log
    whole = digits_runner(other, **{**common, **changes})
    whole.train()
    assert settings(resumed) == settings(whole)
    _, log = resume(other, **{**common, **changes})
    assert 'follows the config' not in log


def test_a_schedule_that_depends_on_validation_goes_on(tmp_path):
    options = {
        'param_scheduler': [
            dict(type='ReduceOnPlateauLR', monitor='accuracy/top1', patience=9)
        ],
        'default_hooks.checkpoint.test_best': False,
    }
    digits_runner(tmp_path, **options).train()
    options |= {
        'train_cfg.max_epochs': 2,
        'optim_wrapper.optimizer.weight_decay': 0.5,
        'optim_wrapper.optimizer.lr': 0.1,
    }
    runner, log = resume(tmp_path, **options)
    assert 'follows the config' not in log
    (group, *_) = runner.optim_wrapper.param_groups
    assert (group['lr'], group['weight_decay']) == (1e-3, 0.01)


def test_a_random_seed_is_resumed_with_its_order_of_images(tmp_path):
    options = {'randomness.seed': None, 'train_dataloader.batch_size': 16}
    seed = stop(tmp_path, 1, **options)['meta']['seed']
    runner, _ = resume(tmp_path, **options)
    assert runner.seed == seed
    assert runner.train_dataloader.sampler.seed == seed


def test_a_checkpoint_of_the_hosts_loop_resumes_as_there(tmp_path):
    loop = dict(_delete_=True, by_epoch=True, max_epochs=1, val_interval=1)
    options = {'param_scheduler.1.begin': 0}
    digits_runner(tmp_path, train_cfg=loop, **options).train()
    runner, log = resume(tmp_path, **options, **{'train_cfg.max_epochs': 2})
    assert 'resumed epoch: 1, iter: 2' in log
    assert runner.iter == 4
    validations = runner.message_hub.get_scalar('val/accuracy/top1')
    assert len(validations.data[0]) == 2


def test_a_folder_for_checkpoints_of_several_runs(tmp_path):
    folder = tmp_path / 'checkpoints'
    options = {'default_hooks.checkpoint.out_dir': str(folder)}
    digits_runner(tmp_path / 'run', **options).train()
    assert (folder / 'run' / 'epoch_1.pth').is_file()
    _, log = resume(tmp_path / 'run', **options)
    assert 'resumed epoch: 1, iter: 2' in log


def test_nothing_to_resume_from(tmp_path):
    _, log = resume(tmp_path)
    assert f'No checkpoint in {tmp_path}: begins.' in log


def test_nothing_whole_to_resume_from(tmp_path):
    (tmp_path / 'epoch_1.pth').write_bytes(b'')
    runner = digits_runner(tmp_path, resume=True)
    with pytest.raises(ValueError, match='no checkpoint can be resumed from'):
        runner.train()


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


@pytest.mark.parametrize('epochs', [1, 6])
def test_the_number_of_epochs_is_all_there_is_to_say(epochs, tmp_path):
    """A trial of fewer epochs than the warm-up has runs, too."""
    runner = digits_runner(
        tmp_path,
        **{
            'param_scheduler.0.end': 3,
            'param_scheduler.1.begin': 3,
            'train_cfg.max_epochs': epochs,
            'default_hooks.checkpoint.test_best': False,
            'train_dataloader.dataset.indices': 32,
        },
    )
    runner.train()
    rate = runner.optim_wrapper.get_lr()['lr'][0]
    assert rate < 5e-4 if epochs == 6 else rate > 1e-6
    line = '1 of 2 param_scheduler would begin'
    assert (line in read_log_of(runner)) == (epochs == 1)


def test_by_epoch_on_top_of_a_config_that_names_its_loop():
    cfg = Config.fromfile(ROOT / 'configs' / 'vptm_beitv2-tiny_digits.py')
    cfg.merge_from_dict({'train_cfg.by_epoch': True})
    finish_config(cfg)
    assert cfg.train_cfg.type == 'ResumableTrainLoop'
    assert 'by_epoch' not in cfg.train_cfg
