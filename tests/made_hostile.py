"""Files that somebody made to run code."""

import io
import pickle
import tarfile
import zipfile
from pathlib import Path

import torch


class Call:
    """What a pickle calls when it is read."""

    def __init__(self, function, *args):
        self.reduced = (function, args)

    def __reduce__(self):
        return self.reduced


def to_program(content, protocol=2) -> bytes:
    file = io.BytesIO()
    pickle.Pickler(file, protocol).dump(content)
    return file.getvalue()


def write_zip(path, program, **records):
    """A checkpoint of a hand-made pickle."""
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('x/data.pkl', program)
        archive.writestr('x/version', b'3\n')
        archive.writestr('x/byteorder', b'little')
        for name, content in records.items():
            archive.writestr(f'x/{name}', content)
    return path


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
