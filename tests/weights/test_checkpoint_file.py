"""Checkpoints of every format are read, and no code in them is run."""

import argparse
from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from vptm_mm.weights import UnsafeCheckpointError, load_file, trust_file

from ..made_hostile import write_files_with_code

REFUSED = (UnsafeCheckpointError, 'holds more than tensors, which may run cod')
DAMAGED = (ValueError, 'is not a readable checkpoint: it is cut short, dam')
MESSAGES = {
    'pickle': REFUSED,
    'pickle_named_task': DAMAGED,
    'zip': REFUSED,
    'zip_named_task': DAMAGED,
    'zip_in_meta': REFUSED,
    'zip_protocol_4': REFUSED,
    'legacy': REFUSED,
    'tar': DAMAGED,
    'torchscript': DAMAGED,
}


@pytest.mark.parametrize('no_weights_only', ['', '1'])
@pytest.mark.filterwarnings('ignore:Detected pickle protocol')
@pytest.mark.filterwarnings("ignore:'torch.load' received a zip file")
def test_no_code_is_run(tmp_path, monkeypatch, no_weights_only):
    if no_weights_only:
        monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    files = write_files_with_code(tmp_path, tmp_path / 'was-run')
    assert files.keys() == MESSAGES.keys()
    for name, path in files.items():
        kind, message = MESSAGES[name]
        with pytest.raises(kind, match=message) as error:
            load_file(path)
        text = str(error.value)
        assert f'{path.name} ({path.stat().st_size} bytes, sha256 ' in text
        assert '\n' not in text
        advice = '--trust-checkpoint FILE' if kind is REFUSED[0] else 'again'
        assert advice in text
        assert not (tmp_path / 'was-run').exists(), name


def test_the_files_would_run_code(tmp_path):
    """The marker of the test above proves something."""
    files = write_files_with_code(tmp_path, tmp_path / 'was-run')
    for name in ('pickle', 'zip', 'zip_in_meta', 'legacy'):
        trust_file(files[name])
        try:
            load_file(files[name])
        except RuntimeError:  # what follows the code in a bare pickle
            assert name == 'pickle'
        assert (tmp_path / 'was-run').exists(), name
        (tmp_path / 'was-run').unlink()


def test_trust_is_for_one_file_that_exists(tmp_path):
    files = write_files_with_code(tmp_path, tmp_path / 'was-run')
    trust_file(files['legacy'])
    with pytest.raises(UnsafeCheckpointError, match='GLOBAL pathlib'):
        load_file(files['zip'])
    with pytest.raises(FileNotFoundError, match='no file to trust at .*gone'):
        trust_file(tmp_path / 'gone.pth')


@pytest.mark.parametrize('is_zip', [True, False])
def test_what_checkpoints_hold_is_read(tmp_path, is_zip):
    """In today's format, and in that of before torch 1.6."""
    history = HistoryBuffer([1.0, 2.0], [1, 1])
    state = OrderedDict(
        a=torch.arange(6.0).view(2, 3).t(),
        b=torch.zeros(0, 3),
        c=torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16)),
        d=torch.tensor(3),
    )
    state['e'] = state['a'][1:]
    state._metadata = OrderedDict(version=1)
    content = dict(
        state_dict=state,
        message_hub=dict(log_scalars={'loss': history}),
        optimizer=dict(state={0: dict(step=torch.tensor(1.0))}),
        args=argparse.Namespace(lr=1, model='beit'),
        meta=dict(
            time='now',
            numbers=[1, 2.5, None, True, 2**70, {1}, (1, 2)],
            array=np.arange(3),
            size=state['a'].shape,
            dtype=torch.float16,
            device=torch.device('cpu'),
            scalar=np.float64(2),
        ),
    )
    path = tmp_path / 'x.pth'
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    for mmap in (False, True):
        found = load_file(path, mmap=mmap)
        for name, expected in state.items():
            assert torch.equal(found['state_dict'][name], expected), name
        assert found['meta']['numbers'] == content['meta']['numbers']
        assert found['meta']['size'] == (3, 2)
        assert found['message_hub']['log_scalars']['loss'].mean() == 1.5
        assert found['args'] == content['args']


def test_a_name_that_the_user_allowed(tmp_path):
    path = tmp_path / 'x.pth'
    torch.save(dict(a=Mine()), path)
    with pytest.raises(UnsafeCheckpointError, match='GLOBAL .*Mine was not'):
        load_file(path)
    with torch.serialization.safe_globals([Mine]):
        assert isinstance(load_file(path)['a'], Mine)


class Mine:
    """A class that a user lets checkpoints hold."""
