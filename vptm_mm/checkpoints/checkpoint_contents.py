"""Looks into a checkpoint before it is loaded: nothing in it runs.

``torch.save`` writes a zip file: the bytes of the tensors, and a pickle, which
is a program that builds all else. Here the program runs with stand-ins in
place of what it names. So nothing is called, and no memory is taken for what
tensors claim to be.
"""

import copy
import io
import math
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import torch

from ..host import host_globals

# What torch.save writes, and torch.load(weights_only=True) reads.
OPCODES = frozenset(
    """
    PROTO STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1
    BINFLOAT BINUNICODE SHORT_BINSTRING EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3
    EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS EMPTY_SET BINGET
    LONG_BINGET BINPUT LONG_BINPUT BINPERSID GLOBAL NEWOBJ REDUCE BUILD
    """.split()  # noqa: SIM905
)
# A checkpoint of BEiT v2 large with AdamW has about 50,000.
MAX_OPCODES = 2_000_000
MAX_MEMBERS = 100_000
# The end of a zip file, and what stands before it in a large one.
END, END_64 = 22, 56 + 20


class UnsafeCheckpointError(ValueError):
    """A file that could run code, or claims more than it holds.

    Damage does not look like this: somebody made the file so, or it is of
    a kind that this package does not read.
    """


def require_harmless(file: BinaryIO) -> None:
    """Look for code and for absurd claims in a checkpoint.

    Args:
        file: The open file; its position is set to the start.

    Raises:
        UnsafeCheckpointError: If it names what is neither a tensor nor a part
            of mmengine's history, is compressed, or describes tensors that
            are larger than what it holds.
        ValueError: If it is damaged or no checkpoint at all.
    """
    try:
        require_zip(file)
        program, records = _read_zip(file)
        _require_plain(program)
        content = _Rehearsal(program, records).load()
        # As optimizers copy their state.
        copy.deepcopy(content)
    except UnsafeCheckpointError:
        raise
    except (RecursionError, MemoryError) as error:
        raise UnsafeCheckpointError(
            f'it is nested too deeply ({type(error).__name__})'
        ) from error
    except Exception as error:  # damaged bytes raise nearly anything
        raise ValueError(
            'it is cut short, damaged or of another format; get it again '
            f'({error})'
        ) from error
    finally:
        file.seek(0)


def require_zip(file: BinaryIO) -> None:
    """Look at the first bytes of a file, which tell its format.

    Raises:
        UnsafeCheckpointError: If it is of a format that may run code.
        ValueError: If it is of no format of checkpoints.
    """
    file.seek(0)
    head = file.read(262)
    if head.startswith(b'\x80') or head[257:] == b'ustar':
        raise UnsafeCheckpointError(
            'it is a bare pickle or a tar file, as torch wrote before version '
            '1.6. Such files may run code. Where you trust it, save its state '
            'dict anew by torch.save'
        )
    if not head.startswith(b'PK\x03\x04'):
        raise ValueError(f'it begins with {head[:8]!r}')


def _read_zip(file: BinaryIO) -> tuple[bytes, dict[str, int]]:
    """Return the pickle, and the size of each record in bytes."""
    size = file.seek(0, 2)
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        _require_one_directory(file, size, archive.start_dir)
        names = {member.filename.lower() for member in members}
        if not len(members) == len(names) <= MAX_MEMBERS:
            raise UnsafeCheckpointError(
                f'it has {len(members)} members with {len(names)} names; '
                f'allowed are {MAX_MEMBERS:,}, each with one name'
            )
        if any(name.endswith('/constants.pkl') for name in names):
            raise UnsafeCheckpointError(
                'it is a TorchScript program, not a checkpoint'
            )
        packed = [
            member.filename
            for member in members
            if member.compress_type != zipfile.ZIP_STORED
            or member.file_size != member.compress_size
        ]
        if packed:
            raise UnsafeCheckpointError(
                f'{len(packed)} of its members are compressed, {packed[0]!r} '
                'first, as no checkpoint is: they may be of any size'
            )
        claimed = sum(member.file_size for member in members)
        if claimed > size:
            raise UnsafeCheckpointError(
                f'its members claim {claimed:,} bytes, more than it has'
            )
        root = members[0].filename.partition('/')[0] + '/'
        records = {
            member.filename.removeprefix(root): member.file_size
            for member in members
            if member.filename.startswith(root)
        }
        return archive.read(root + 'data.pkl'), records


def _require_one_directory(file: BinaryIO, size: int, start: int) -> None:
    """Two readers must find the same members: Python's, and torch's."""
    file.seek(max(size - END - END_64, 0))
    tail = file.read()
    (offset,) = struct.unpack('<I', tail[-6:-2])
    fits = tail[-END:].startswith(b'PK\x05\x06')
    if tail[-END - 20 :].startswith(b'PK\x06\x07'):
        (where,) = struct.unpack('<Q', tail[-END - 12 : -END - 4])
        (offset,) = struct.unpack('<Q', tail[48:56])
        fits = fits and where == size - END - END_64
    if not fits or offset != start:
        raise UnsafeCheckpointError(
            'it is a zip file with something before, behind or between its '
            'parts, as torch.save writes none'
        )


def _require_plain(program: bytes) -> None:
    """Look at each step: Python's unpickler trusts numbers and names."""
    for count, (opcode, argument, _) in enumerate(pickletools.genops(program)):
        if opcode.name not in OPCODES:
            raise UnsafeCheckpointError(
                f'its pickle uses {opcode.name}, which torch.save never does'
            )
        place: Any = argument if opcode.name == 'LONG_BINPUT' else 0
        if count > MAX_OPCODES or place > count:
            raise UnsafeCheckpointError(
                f'its pickle is made to take memory (step {count:,}, '
                f'{opcode.name} {argument!r:.20})'
            )


class _StandIn:
    """Takes any arguments and any state, and does nothing."""

    def __init__(self, *args: Any) -> None:
        pass

    def __call__(self, *args: Any) -> '_StandIn':
        return self

    def __setstate__(self, state: Any) -> None:
        pass

    def __deepcopy__(self, memo: dict) -> '_StandIn':
        return self


class _OrderedDict(dict):
    """Has items, and the one attribute that torch gives a state dict."""

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict) or set(state) != {'_metadata'}:
            raise UnsafeCheckpointError(
                f'an OrderedDict in it has a state of its own: {state!r:.80}'
            )


class _Storage(_StandIn):
    """So many numbers."""

    def __init__(self, length: int) -> None:
        self.length = length


def _rebuild_tensor(
    storage: Any, offset: int, shape: tuple, stride: tuple, *_: Any
) -> _StandIn:
    if not isinstance(storage, _Storage):
        raise UnsafeCheckpointError('a tensor in it has no storage')
    numbers = (offset, *shape, *stride)
    fits = len(shape) == len(stride) and all(
        type(number) is int and 0 <= number < 2**63 for number in numbers
    )
    if fits and 0 not in shape:
        end = offset + 1
        end += sum((n - 1) * s for n, s in zip(shape, stride, strict=True))
        # A stride of 0 repeats one number as often as it likes.
        fits = max(end, math.prod(shape)) <= storage.length
    if not fits:
        raise UnsafeCheckpointError(
            f'a tensor of shape {tuple(shape)!r:.80}, strides '
            f'{tuple(stride)!r:.80} and offset {offset!r:.20} does not fit '
            f'its {storage.length:,} numbers'
        )
    return _StandIn()


def _rebuild_parameter(data: Any, *_: Any) -> Any:
    return data


def _rebuild_array(cls: Any, shape: Any, dtype: Any) -> _StandIn:
    if shape != (0,):
        raise UnsafeCheckpointError(
            f'an array of numpy in it begins with shape {shape!r:.80}'
        )
    return _StandIn()


def _encode(text: str, encoding: str) -> bytes:
    if not isinstance(text, str) or encoding != 'latin1':
        raise UnsafeCheckpointError(f'bytes in it are {encoding!r:.80}')
    return text.encode('latin1')


def _rebuild_scalar(dtype: Any, data: Any = None) -> _StandIn:
    if not isinstance(data, bytes):
        raise UnsafeCheckpointError(f'a number in it is {data!r:.80}')
    return _StandIn()


class _History(_StandIn):
    """A history is built by its state, and called by nobody."""

    def __new__(cls, *args: Any) -> '_History':
        if args:
            raise UnsafeCheckpointError('it calls the class of a history')
        return super().__new__(cls)


def _statistic(owner: Any, name: str) -> _StandIn:
    if owner is not _History or name.startswith('_'):
        raise UnsafeCheckpointError(
            f'it asks for attribute {name!r:.80} of something'
        )
    return _StandIn()


# Bytes of a number in torch's storages.
ITEM_SIZES = {
    'BFloat16Storage': 2,
    'BoolStorage': 1,
    'ByteStorage': 1,
    'CharStorage': 1,
    'ComplexDoubleStorage': 16,
    'ComplexFloatStorage': 8,
    'DoubleStorage': 8,
    'FloatStorage': 4,
    'HalfStorage': 2,
    'IntStorage': 4,
    'LongStorage': 8,
    'ShortStorage': 2,
    'UntypedStorage': 1,
}
TENSOR_PARTS: dict[str, Any] = {
    'collections.OrderedDict': _OrderedDict,
    'torch._utils._rebuild_tensor': _rebuild_tensor,
    'torch._utils._rebuild_tensor_v2': _rebuild_tensor,
    'torch._utils._rebuild_parameter': _rebuild_parameter,
    'torch.Size': tuple,
    'torch.device': _StandIn,
    'builtins.set': set,
    '_codecs.encode': _encode,
}
# By the last part of their names: numpy 1 and 2 write different modules.
HOST_PARTS: dict[str, Any] = {
    'HistoryBuffer': _History,
    '_reconstruct': _rebuild_array,
    'getattr': _statistic,
    'scalar': _rebuild_scalar,
    'ndarray': None,  # an argument of _reconstruct, never called
}


def find_part(module: str, name: str) -> Any:
    """Return the stand-in for what a pickle names.

    Raises:
        UnsafeCheckpointError: If no checkpoint needs it.
    """
    module = 'builtins' if module == '__builtin__' else module
    path = f'{module}.{name}'
    if path in TENSOR_PARTS:
        return TENSOR_PARTS[path]
    if path in host_globals():
        return HOST_PARTS.get(name, _StandIn)
    if module in ('torch', 'torch.storage') and name.isidentifier():
        if name in ITEM_SIZES:
            return ITEM_SIZES[name]
        if isinstance(getattr(torch, name, None), torch.dtype):
            return _StandIn()
    if path in _allowed_by_user():
        return _StandIn
    raise UnsafeCheckpointError(
        f'it holds objects other than tensors, {path} among them, which may '
        'run code. Save its state dict alone, where you trust it'
    )


def _allowed_by_user() -> Mapping[str, Any]:
    """What somebody gave to ``torch.serialization.add_safe_globals``."""
    get = getattr(torch.serialization, 'get_safe_globals', list)
    pairs = [one if isinstance(one, tuple) else (one, None) for one in get()]
    return {
        name or f'{one.__module__}.{one.__qualname__}': one
        for one, name in pairs
    }


class _Rehearsal(pickle.Unpickler):
    """Runs a pickle with stand-ins."""

    def __init__(self, program: bytes, records: dict[str, int]) -> None:
        super().__init__(io.BytesIO(program), encoding='utf-8')
        self.records = records

    def find_class(self, module: str, name: str) -> Any:
        return find_part(module, name)

    def persistent_load(self, saved: Any) -> _Storage:
        _, item_size, key, _, length = saved
        size = self.records.get(f'data/{key}')
        claimed = length * item_size
        if claimed != size or type(length) is not int:
            raise UnsafeCheckpointError(
                f'a tensor claims {claimed:,} bytes of record {key!r:.40}, '
                f'which has {size}'
            )
        return _Storage(length)
