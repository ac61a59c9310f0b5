"""What is said when memory runs out or a worker dies, and if it is true."""

import os
import re
import signal

import numpy as np
import pytest
import torch
from mmengine.config import DictAction
from torch.autograd.graph import saved_tensors_hooks

from vptm_mm.engine.cfg_options import merge_cfg_options
from vptm_mm.engine.failures import explain_failures

from .made_digits import digits_runner


def advised_options(text: str) -> dict:
    """What --cfg-options makes of the switches in a text."""
    pairs = re.findall(r'([\w.]+)=(\w+)(?=[ :\n])', text.partition('Try')[2])
    assert pairs
    return {key: DictAction._parse_int_float_bool(v) for key, v in pairs}


def fail_in(runner, method: str, make_error) -> None:
    def fail(*args, **kwargs):
        return make_error()

    setattr(runner.model.head, method, fail)


def gpu_is_full():
    raise torch.cuda.OutOfMemoryError(
        'CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total '
        'capacity of 79.10 GiB\nmore'
    )


def explained(runner, run: str = 'train') -> str:
    with (
        pytest.raises(RuntimeError, match='out of memory|died') as error,
        explain_failures(runner.cfg),
    ):
        getattr(runner, run)()
    assert error.value.__cause__ is not None
    return str(error.value)


@pytest.mark.parametrize(
    ('make_error', 'said'),
    [
        (gpu_is_full, 'CUDA out of memory. Tried to allocate 2.00 GiB. '),
        (lambda: torch.empty(10**15), 'allocate 4000000000000000 bytes'),
        (lambda: np.empty(10**17), 'Unable to allocate'),
        (lambda: bytes(10**17), 'MemoryError'),
    ],
)
def test_out_of_memory_in_training(tmp_path, make_error, said):
    runner = digits_runner(tmp_path)
    fail_in(runner, 'loss', make_error)
    text = explained(runner)
    assert text.startswith('out of memory: ')
    assert said in text
    assert 'in train, with train_dataloader.batch_size=32\n' in text
    assert f'last checkpoint: none yet in {tmp_path}' in text
    assert ('--amp' in text) == (make_error is gpu_is_full)
    options = advised_options(text)
    assert options == {
        'train_dataloader.batch_size': 16,
        'optim_wrapper.accumulative_counts': 2,
    }
    merge_cfg_options(runner.cfg, options)


@pytest.mark.parametrize(('run', 'part'), [('train', 'val'), ('test', 'test')])
def test_out_of_memory_without_a_gradient(tmp_path, run, part):
    runner = digits_runner(tmp_path)
    fail_in(runner, 'predict', gpu_is_full)
    text = explained(runner, run)
    size = runner.cfg[f'{part}_dataloader'].batch_size
    options = advised_options(text)
    assert options == {f'{part}_dataloader.batch_size': size // 2}
    assert ('last checkpoint' in text) == (run == 'train')
    merge_cfg_options(runner.cfg, options)


def test_other_errors_are_left_alone(tmp_path):
    cfg = digits_runner(tmp_path).cfg
    for error in (RuntimeError('shapes'), OSError('no such file')):
        with (
            pytest.raises(type(error), match=str(error)) as caught,
            explain_failures(cfg),
        ):
            raise error
        assert caught.value is error


@pytest.mark.parametrize(
    ('number', 'said'),
    [
        (signal.SIGKILL, r'it was killed \(SIGKILL\)'),
        (signal.SIGBUS, 'a bus error, as when shared memory is full'),
        (None, 'it was killed, or it ended by itself'),
    ],
)
def test_a_worker_that_dies(tmp_path, number, said):
    runner = digits_runner(
        tmp_path,
        **{
            'train_dataloader.num_workers': 1,
            'train_dataloader.persistent_workers': False,
        },
    )

    def die(info):
        if number is None:
            os._exit(1)
        os.kill(os.getpid(), number)

    transforms = runner.train_dataloader.dataset.pipeline.transforms
    transforms.insert(0, die)
    text = explained(runner)
    assert re.search(f'worker process of train_dataloader died: {said}', text)
    assert advised_options(text) == {'train_dataloader.num_workers': 0}
    assert f'last checkpoint: none yet in {tmp_path}' in text


def kept_bytes(runner, batch_size: int, **autocast) -> int:
    """What the forward pass keeps for the backward pass."""
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    frozen = {
        p.untyped_storage().data_ptr() for p in runner.model.parameters()
    }
    images = torch.rand(batch_size, 3, 32, 32)
    with (
        torch.autocast('cpu', torch.bfloat16, **autocast),
        saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        # Kept, so that no storage takes the place of another.
        output = runner.model.backbone(images)
    assert output is not None
    return sum(size for key, size in kept.items() if key not in frozen)


def test_what_is_advised_takes_less_memory(tmp_path):
    runner = digits_runner(tmp_path)
    whole = kept_bytes(runner, 64, enabled=False)
    assert 0.45 < kept_bytes(runner, 32, enabled=False) / whole < 0.55
    assert kept_bytes(runner, 64, enabled=True) / whole < 0.8
