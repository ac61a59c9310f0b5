"""``tools/pretrain.py`` as a user runs it: rounds, killed and gone on with."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from vptm_mm.verbs import pretrain as verb

from .. import launched
from ..conftest import ROOT
from .test_tools import run
from .vptm import vptm

CONFIG = ROOT / 'configs' / 'pretrain' / 'beitv2-tiny_digits.py'
# One epoch of two batches.
SMALL = (
    'train_cfg.max_epochs=1',
    'train_dataloader.dataset.indices=128',
    'train_dataloader.batch_size=64',
    'param_scheduler.0.end=1',
    'param_scheduler.1.begin=1',
    'model.head.num_embed=16',
    'model.target_generator.num_visual_tokens=16',
)


def pretrain(cwd, *options, **settings):
    return run('pretrain.py', CONFIG, *options, cwd=cwd, **settings)


def start(cwd, *options) -> subprocess.Popen:
    """Start the command in a group of processes of its own."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / 'tools' / 'pretrain.py'), str(CONFIG)]
        + [*options],
        cwd=cwd,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait_until(is_so, process):
    deadline = time.monotonic() + 240
    while not is_so():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_rounds(tmp_path, monkeypatch, capsys):
    def train(command):
        assert command[1:4] == ['-m', 'vptm_mm', 'train']
        launched.run(ROOT / 'tools' / 'train.py', *command[4:], cwd=tmp_path)
        return 0

    monkeypatch.setattr(verb, 'run_until_it_ends', train)
    root = tmp_path / 'rounds'
    words = ('pretrain', CONFIG, '--tokens', 'patches', 'vqkd')
    words += ('--work-dir', root, '--cfg-options', *SMALL)
    words += ('randomness.seed=5',)
    vptm(*words)
    said = capsys.readouterr().out
    backbones = [
        root / name / 'beitv2-tiny_digits.pth'
        for name in ('1_patches', '2_vqkd')
    ]
    # VQ-KD is initialised by the seed of its run, k-means by its own.
    for name, predicts, source, seed in (
        ('1_patches', 'patches', None, 0),
        (
            '2_vqkd',
            f'vqkd of BlockFeatures, block 3, {backbones[0]}',
            root / '2_vqkd-tokenizer' / 'tokenizer.pth',
            5,
        ),
    ):
        card = (root / name / 'card.md').read_text()
        assert f'| predicts | {predicts} |' in card
        assert f'| seed of the tokens | {seed} |' in card
        assert ('| made from |' in card) == bool(source)
        if source:
            digest = hashlib.sha256(source.read_bytes()).hexdigest()
            assert f'| made from | {source}, sha256 {digest} |' in card
        assert re.search(r'\| sha256 \| [0-9a-f]{64} \|', card)
        assert '| images | 128 |' in card
        for report in ('masked token accuracy', 'linear probe', 'perplexity'):
            assert report in card
        assert f'{name}/beitv2-tiny_digits.pth' in said
    # Started again, nothing is trained again.
    exported = backbones[1]
    before = exported.stat().st_mtime_ns
    vptm(*words)
    assert exported.stat().st_mtime_ns == before
    # Other settings are not mixed with them.
    text = (
        r'1_patches.py holds other settings than these(.*\n)*\+ *max_epochs=2'
    )
    with pytest.raises(ValueError, match=text):
        vptm(*words, 'train_cfg.max_epochs=2')


@pytest.mark.slow
def test_what_asks_it_to_stop_reaches_the_training(
    tmp_path, monkeypatch, capsys
):
    """It goes on with what its warning names."""
    ask_to_stop(signal.SIGINT, tmp_path)
    monkeypatch.setattr(verb, 'run_until_it_ends', lambda command: 3)
    words = ('pretrain', CONFIG, '--work-dir', tmp_path / 'rounds')
    words += ('--cfg-options', *SMALL, 'train_cfg.max_epochs=8')
    words += ('default_hooks.checkpoint.interval=1',)
    with pytest.raises(SystemExit, match='3'):
        vptm(*words, 'train_dataloader.batch_size=32')
    assert '1_patches goes on with other settings' in capsys.readouterr().err


def ask_to_stop(number, tmp_path):
    options = ('--cfg-options', *SMALL, 'train_cfg.max_epochs=500')
    options += ('default_hooks.checkpoint.interval=1',)
    process = start(tmp_path, '--work-dir', 'rounds', *options)
    first = tmp_path / 'rounds' / '1_patches'
    wait_until((first / 'epoch_1.pth').exists, process)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)  # to it alone
    assert process.wait(60) == 75
    assert (first / 'interrupted.pth').exists()


def test_flags_of_the_training_are_passed_on(tmp_path, monkeypatch):
    commands = []

    def fail(command):
        commands.append(command)
        return 3

    monkeypatch.setattr(verb, 'run_until_it_ends', fail)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match='3'):
        vptm('pretrain', CONFIG, '--no-pin-memory', '--cfg-options', *SMALL)
    assert commands[0][-1] == '--no-pin-memory'


def test_a_launcher_without_what_starts_it():
    with pytest.raises(ValueError, match='--launcher pytorch: .* as --launch'):
        vptm('pretrain', CONFIG, '--launcher', 'pytorch')
