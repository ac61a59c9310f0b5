"""What is refused before a checkpoint is loaded, and with which memory."""

import io
import json
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from vptm_mm.checkpoints import UnsafeCheckpointError, load_file, trust_file
from vptm_mm.checkpoints import checkpoint_contents as contents
from vptm_mm.host import reads_weights_only

from ..conftest import ROOT
from ..made_hostile import (
    bombs,
    tensor,
    to_program,
    write_files_with_code,
    write_zip,
)

MESSAGES = {
    'pickle': 'it is a bare pickle or a tar file',
    'pickle_named_task': 'it is a bare pickle or a tar file',
    'zip': 'objects other than tensors, .*Path',
    'zip_named_task': 'objects other than tensors, .*Path',
    'zip_in_meta': 'objects other than tensors, .*Path',
    'zip_protocol_4': 'its pickle uses FRAME, which torch.save never does',
    'legacy': 'it is a bare pickle or a tar file',
    'tar': 'it is a bare pickle or a tar file',
    'torchscript': 'it is a TorchScript program',
}


@pytest.mark.parametrize('no_weights_only', ['', '1'])
def test_no_code_is_run(tmp_path, monkeypatch, no_weights_only):
    if no_weights_only:
        monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    files = write_files_with_code(tmp_path, tmp_path / 'was-run')
    assert files.keys() == MESSAGES.keys()
    for name, path in files.items():
        with pytest.raises(UnsafeCheckpointError, match=MESSAGES[name]) as e:
            load_file(path)
        assert f'{path.name} ({path.stat().st_size} bytes)' in str(e.value)
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
    with pytest.raises(UnsafeCheckpointError, match='objects other than'):
        load_file(files['zip'])
    with pytest.raises(FileNotFoundError, match='no file to trust at .*gone'):
        trust_file(tmp_path / 'gone.pth')


def test_what_checkpoints_hold_is_read(tmp_path):
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
    torch.save(content, path)
    found = load_file(path)
    for name, expected in state.items():
        assert torch.equal(found['state_dict'][name], expected), name
    assert found['meta']['numbers'] == content['meta']['numbers']
    assert found['meta']['size'] == (3, 2)
    assert found['message_hub']['log_scalars']['loss'].mean() == 1.5
    write_zip(path, to_program(dict(a=tensor())))
    assert torch.equal(load_file(path)['a'], torch.zeros(10))


BOMBS = {
    'storage': 'claims 4,398,046,511,104 bytes of record .0., which has 40',
    'expanded': r'shape \(1099511627776,\), strides \(0,\) and offset 0 does',
    'outside': r'strides \(1099511627776, 1\) .* does not fit its 10 numbers',
    'negative': 'offset -4 does not fit',
    'no_numbers': r"a tensor of shape \('a',\)",
    'no_storage': 'a tensor in it has no storage',
    'array': r'an array of numpy in it begins with shape \(1099511627776,\)',
    'scalar': 'a number in it is None',
    'history': 'it calls the class of a history',
    'zeros': 'objects other than tensors, builtins.bytearray among them',
    'memo': r'is made to take memory \(step 2, LONG_BINPUT 2147483647',
    'steps': r'is made to take memory \(step 2,000,001',
    'nested': r'it is nested too deeply \(RecursionError',
    'state': r"an OrderedDict in it has a state of its own: \{'items'",
    'encoding': "bytes in it are 'hex'",
    'attribute': "it asks for attribute '__init__' of something",
}


@pytest.mark.parametrize('name', BOMBS)
def test_absurd_claims_are_refused(tmp_path, name):
    path = write_zip(tmp_path / 'x.pth', bombs()[name])
    with pytest.raises(UnsafeCheckpointError, match=BOMBS[name]):
        load_file(path)


def test_other_zip_files_are_refused(tmp_path, monkeypatch):
    path = tmp_path / 'x.pth'
    program = to_program(dict(a=tensor()))
    write_zip(path, program, zipfile.ZIP_DEFLATED)
    with pytest.raises(UnsafeCheckpointError, match="compressed, 'x/data/0'"):
        load_file(path)
    write_zip(path, program, **{'DATA.pkl': b''})
    with pytest.raises(UnsafeCheckpointError, match='5 members with 4 names'):
        load_file(path)
    whole = write_zip(path, program).read_bytes()
    for changed in (b'PK\x03\x04' + whole, whole + bytes(3)):
        path.write_bytes(changed)
        with pytest.raises(ValueError, match='before, behind|cut short'):
            load_file(path)
    # All members at one place: their sizes add up to more than the file.
    size = struct.pack('<II', 10**6, 10**6)
    path.write_bytes(whole.replace(struct.pack('<II', 40, 40), size))
    with pytest.raises(UnsafeCheckpointError, match='members claim 2?,?1?,?'):
        load_file(path)
    path.write_bytes(whole)
    monkeypatch.setattr(contents, 'MAX_MEMBERS', 3)
    with pytest.raises(UnsafeCheckpointError, match='it has 4 members with'):
        load_file(path)


def test_a_large_zip_has_its_end_in_another_form(tmp_path):
    """As files of more than 4 GB, which end with a zip64 directory."""
    path = tmp_path / 'x.pth'
    whole = write_zip(path, to_program(dict(a=tensor()))).read_bytes()
    body, end = whole[:-22], whole[-22:]
    count, size, offset = struct.unpack('<HII', end[10:20])
    far = struct.pack(
        '<4sQHHIIQQQQ',
        *(b'PK\x06\x06', 44, 45, 45, 0, 0, count, count, size, offset),
    )
    locator = struct.pack('<4sIQI', b'PK\x06\x07', 0, len(body), 1)
    end = end[:8] + b'\xff' * 12 + end[20:]
    path.write_bytes(body + far + locator + end)
    assert load_file(path)['a'].shape == (10,)
    locator = struct.pack('<4sIQI', b'PK\x06\x07', 0, len(body) - 1, 1)
    path.write_bytes(body + far + locator + end)
    with pytest.raises(ValueError, match='before, behind|cut short'):
        load_file(path)


SCRIPT = """
import json, resource, sys
from pathlib import Path
from vptm_mm.checkpoints import load_file, read_task

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

before, found = peak(), {}
for path in map(Path, sys.argv[1:]):
    try:
        (read_task if path.suffix == '.safetensors' else load_file)(path)
        found[path.name] = 'was read'
    except ValueError as error:
        assert str(path) in str(error)
print(json.dumps([found, peak() - before]))
"""


def test_refusing_takes_no_memory(tmp_path):
    """All bombs, one after the other, in a process that measures itself."""
    paths = [
        write_zip(tmp_path / f'{name}.pth', program)
        for name, program in bombs().items()
        if name != 'history'  # takes long to write
    ]
    inflated = tmp_path / 'inflated.pth'
    with zipfile.ZipFile(inflated, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('x/data.pkl', to_program(tensor()))
        archive.writestr('x/data/0', bytes(2**28))
    paths.append(inflated)
    for name, length in (('long', 2**62), ('longer', 2**64 - 1)):
        path = tmp_path / f'{name}.safetensors'
        path.write_bytes(struct.pack('<Q', length) + b'{}')
        paths.append(path)
    header = {
        f't{i}': dict(dtype='F32', shape=[0], data_offsets=[0, 0])
        for i in range(20_000)
    }
    header['big'] = dict(dtype='F32', shape=[2**40], data_offsets=[0, 2**42])
    text = json.dumps(header).encode()
    paths.append(tmp_path / 'many.safetensors')
    paths[-1].write_bytes(struct.pack('<Q', len(text)) + text)
    result = subprocess.run(
        [sys.executable, '-c', SCRIPT, *map(str, paths)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    found, taken = json.loads(result.stdout.splitlines()[-1])
    assert found == {}
    assert taken < 64e6


def test_old_torch_builds_allowed_parts_only(tmp_path, monkeypatch):
    """The way of a torch before 2.6, taken with this one."""
    from vptm_mm.checkpoints import checkpoint_file

    monkeypatch.setattr(checkpoint_file, 'reads_weights_only', lambda: False)
    path = tmp_path / 'x.pth'
    history = HistoryBuffer([1.0, 2.0], [1, 1])
    torch.save(dict(a=torch.arange(3), history=history), path)
    # This torch asks for weights_only where no pickle_module is given.
    loaded = load_file(path)
    assert loaded['history'].mean() == 1.5
    assert loaded['a'].tolist() == [0, 1, 2]
    files = write_files_with_code(tmp_path, tmp_path / 'was-run')
    for name, file in files.items():
        with pytest.raises(UnsafeCheckpointError, match=MESSAGES[name]):
            load_file(file)
    # Where the look into the file were fooled, its unpickler would not be.
    monkeypatch.setattr(checkpoint_file, 'require_harmless', lambda file: None)
    with pytest.raises(UnsafeCheckpointError, match='objects other than'):
        load_file(files['zip'])
    assert not (tmp_path / 'was-run').exists()


@pytest.mark.skipif(
    not reads_weights_only(), reason='an allow-list needs torch >= 2.6'
)
def test_a_name_that_the_user_allowed(tmp_path):
    path = tmp_path / 'x.pth'
    torch.save(dict(a=Mine()), path)
    with pytest.raises(UnsafeCheckpointError, match='Mine among them'):
        load_file(path)
    with torch.serialization.safe_globals([Mine]):
        assert isinstance(load_file(path)['a'], Mine)


class Mine:
    """A class that a user lets checkpoints hold."""


def test_the_file_is_as_it_was(tmp_path):
    file = io.BytesIO(b'PK\x03\x04')
    with pytest.raises(ValueError, match='it is cut short, damaged'):
        contents.require_harmless(file)
    assert file.tell() == 0
    with pytest.raises(ValueError, match=r"it begins with b'<html>'"):
        contents.require_harmless(io.BytesIO(b'<html>'))
