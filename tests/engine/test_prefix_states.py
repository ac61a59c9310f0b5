"""Files of states: read as written, or not at all."""

import errno
import os

import pytest
import torch
from safetensors.torch import load_file

from vptm_mm.engine.prefix_states import read_states, write_states
from vptm_mm.weights import WriteError

SHAPE = (2, 3, 4, 5)


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=str)
def states(request):
    return torch.randn(SHAPE).to(request.param)


@pytest.fixture
def path(tmp_path, states):
    path = tmp_path / 'states.safetensors'
    pieces = [
        view[part] for view in states for part in (slice(2), slice(2, 3))
    ]
    write_states(path, SHAPE, states.dtype, iter(pieces))
    return path


def test_is_read_as_it_was_written(path, states):
    assert torch.equal(read_states(path), states)
    assert torch.equal(load_file(path)['states'], states)
    assert os.listdir(path.parent) == [path.name]


def test_each_cut_is_found(path):
    content = path.read_bytes()
    for length in range(0, len(content), 97):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match='is damaged .*; delete it'):
            read_states(path)


def test_a_disk_that_fills_up(tmp_path):
    def pieces():
        yield torch.zeros(3, 4, 5)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / 'states.safetensors'
    with pytest.raises(WriteError, match='No space left on'):
        write_states(path, SHAPE, torch.float32, pieces())
    assert not os.listdir(tmp_path)
