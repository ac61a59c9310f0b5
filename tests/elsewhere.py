"""A device that is not the CPU, holds values, and needs no hardware.

Tensors on it report the device ``meta``, so that autograd runs backward on
them, but have values: hooks, metrics and files can be tested, too. As on a
GPU, an operation that mixes it with the CPU is an error; only copies and
scalars cross. What a GPU would have to be waited for is recorded.
"""

from contextlib import nullcontext
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import (
    TorchDispatchMode,
    return_and_correct_aliasing,
)
from torch.utils._pytree import tree_leaves, tree_map_only

DEVICE = 'meta'
aten = torch.ops.aten
COPIES = (aten.copy_.default,)
# Lists of numbers may be an index: they are taken across.
INDEXED = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default)
# Their results, or the shapes of them, depend on values.
WAITS = (
    aten._local_scalar_dense.default,
    aten.equal.default,
    aten.masked_select.default,
    aten.nonzero.default,
    aten.bincount.default,
)


class Away(Tensor):
    """A tensor that is elsewhere."""

    @staticmethod
    def __new__(cls, values: Tensor) -> 'Away':
        return Tensor._make_wrapper_subclass(
            cls,
            values.shape,
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            device=DEVICE,
        )

    def __init__(self, values: Tensor) -> None:
        self.values_here = values

    def __deepcopy__(self, memo: dict) -> Tensor:
        copy = self.detach().clone().requires_grad_(self.requires_grad)
        if isinstance(self, torch.nn.Parameter):
            copy = torch.nn.Parameter(copy, self.requires_grad)
        memo[id(self)] = copy
        return copy

    def __reduce_ex__(self, protocol: int) -> tuple:
        # In a file it is read with map_location='cpu'.
        return self.detach().cpu().__reduce_ex__(protocol)

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        with Elsewhere() as mode:
            return mode.__torch_dispatch__(func, types, args, kwargs)


class _Lists(TorchFunctionMode):
    """Turn lists in an index into tensors, and tensors into lists.

    Torch makes the ones without values, and refuses the others.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is Tensor.tolist:
            args = (args[0].cpu(),)
        if func in (Tensor.__getitem__, Tensor.__setitem__):
            where = args[1] if isinstance(args[1], tuple) else (args[1],)
            where = tuple(
                torch.tensor(x) if isinstance(x, list) else x for x in where
            )
            args = (args[0], where, *args[2:])
        return func(*args, **(kwargs or {}))


class Elsewhere(TorchDispatchMode):
    """Let tensors of this context be on ``DEVICE``."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self._lists = _Lists()
        autocast = torch.autocast
        self._patch = patch.object(  # it knows no meta
            torch,
            'autocast',
            lambda device_type, *args, **kwargs: (
                nullcontext()
                if device_type == DEVICE
                else autocast(device_type, *args, **kwargs)
            ),
        )

    def __enter__(self) -> 'Elsewhere':
        self._patch.start()
        self._lists.__enter__()
        future = torch.__future__
        self._before = future.get_overwrite_module_params_on_conversion()
        future.set_overwrite_module_params_on_conversion(True)
        return super().__enter__()

    def __exit__(self, *error) -> None:
        super().__exit__(*error)
        torch.__future__.set_overwrite_module_params_on_conversion(
            self._before
        )
        self._lists.__exit__(*error)
        self._patch.stop()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        leaves = tree_leaves((args, kwargs))
        tensors = [x for x in leaves if isinstance(x, Tensor)]
        away = any(isinstance(x, Away) for x in tensors)
        index = tree_leaves(args[1]) if func in INDEXED else []
        index = [x for x in index if x is not None]
        by_mask = any(x.dtype is torch.bool for x in index)
        here = [
            x
            for x in tensors
            if not isinstance(x, Away)
            and x.dim()
            and (x.is_meta or all(x is not i for i in index))
        ]
        if away and here and func not in COPIES:
            raise RuntimeError(f'{func} mixes the CPU with another device')
        device = kwargs.get('device')
        goes = away if device is None else torch.device(device).type == DEVICE
        if away and (func in WAITS or by_mask or not goes):
            self.waits.append(str(func))
        values, options = tree_map_only(
            Away, lambda x: x.values_here, (args, kwargs)
        )
        if device is not None:
            options['device'] = 'cpu'
        out = func(*values, **options)
        if func in COPIES:
            return args[0]
        if not goes:
            return out
        out = tree_map_only(Tensor, Away, out)
        return return_and_correct_aliasing(func, args, kwargs, out)
