"""Files that somebody made to run code, or to take memory."""

import io
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

rebuild_tensor = torch._utils._rebuild_tensor_v2


class Call:
    """What a pickle calls when it is read."""

    def __init__(self, function, *args):
        self.reduced = (function, args)

    def __reduce__(self):
        return self.reduced


class Stored:
    """A storage of so many float32 numbers, kept in a record."""

    def __init__(self, length, key='0'):
        self.saved = ('storage', torch.FloatStorage, key, 'cpu', length)


class _Pickler(pickle.Pickler):
    def persistent_id(self, item):
        return item.saved if isinstance(item, Stored) else None


def to_program(content, protocol=2) -> bytes:
    file = io.BytesIO()
    _Pickler(file, protocol).dump(content)
    return file.getvalue()


def write_zip(path, program, compression=zipfile.ZIP_STORED, **records):
    """A checkpoint of a hand-made pickle."""
    records = {'data/0': bytes(40), **records}
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('x/data.pkl', program)
        archive.writestr('x/version', b'3\n')
        archive.writestr('x/byteorder', b'little')
        for name, content in records.items():
            archive.writestr(f'x/{name}', content, compression)
    return path


def tensor(length=10, offset=0, shape=(10,), stride=(1,), storage=None):
    storage = storage or Stored(length)
    return Call(rebuild_tensor, storage, offset, shape, stride, False, {})


def write_files_with_code(folder: Path, marker: Path) -> dict[str, Path]:
    """Files whose code would touch ``marker``, in every format."""
    code = Call(Path.touch, marker)
    paths = {}

    def path(name, suffix='.pth'):
        paths[name] = folder / f'{name}{suffix}'
        return paths[name]

    path('pickle').write_bytes(pickle.dumps(code))
    path('pickle_named_task', '.safetensors').write_bytes(pickle.dumps(code))
    torch.save(dict(state_dict=code), path('zip'))
    torch.save(dict(state_dict=code), path('zip_named_task', '.safetensors'))
    content = dict(state_dict={}, meta=dict(epoch=1, iter=1, more=code))
    torch.save(content, path('zip_in_meta'))
    write_zip(path('zip_protocol_4'), to_program(code, 4))
    torch.save(
        dict(state_dict=code),
        path('legacy'),
        _use_new_zipfile_serialization=False,
    )
    with tarfile.open(path('tar'), 'w') as archive:
        for name in ('sys_info', 'pickle', 'storages', 'tensors'):
            data = pickle.dumps(code)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    write_zip(path('torchscript'), to_program(code), **{'constants.pkl': b''})
    return paths


def bombs() -> dict[str, bytes]:
    """Pickles that would take much memory."""
    many = [0] * 1000
    for _ in range(3):
        many = [many] * 1000
    array = np.empty(0).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    return {
        'storage': to_program(tensor(2**40, shape=(2**40,))),
        'expanded': to_program(tensor(shape=(2**40,), stride=(0,))),
        'outside': to_program(tensor(shape=(2, 5), stride=(2**40, 1))),
        'negative': to_program(tensor(offset=-4)),
        'no_numbers': to_program(tensor(shape=('a',))),
        'no_storage': to_program(tensor(storage=[1])),
        'array': to_program(Call(array, np.ndarray, (2**40,), b'b')),
        'scalar': to_program(Call(scalar, np.dtype('V2000000000'))),
        'history': to_program(Call(HistoryBuffer, many, many)),
        'zeros': to_program(Call(bytearray, 2**40)),
        'memo': b'\x80\x02]r\xff\xff\xff\x7f.',
        'steps': b'\x80\x02](' + b']' * 2_500_000 + b'e.',
        'nested': b'\x80\x02' + b']' * 20_000 + b'a' * 19_999 + b'.',
        'state': to_program(OrderedState()),
        'encoding': to_program(Call(__import__('codecs').encode, 'a', 'hex')),
        'attribute': to_program(Call(getattr, HistoryBuffer, '__init__')),
    }


class OrderedState(dict):
    """An OrderedDict that would bring an attribute of its own."""

    def __reduce__(self):
        from collections import OrderedDict

        return OrderedDict, (), dict(items=1)
