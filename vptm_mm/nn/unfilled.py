"""Modules that are built without random weights, because others follow."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

FILLS = {
    *(Tensor.uniform_, Tensor.normal_),
    *(init.uniform_, init.normal_, init.trunc_normal_),
    *(init.kaiming_uniform_, init.kaiming_normal_),
    *(init.xavier_uniform_, init.xavier_normal_),
}


class Unfilled(TorchFunctionMode):
    """Leaves out the random fill of every tensor inside the context.

    Their values are whatever is in memory: use it only where all of them are
    read from a file afterwards, or the module is thrown away. The random
    generator does not move. For BEiT v2 base this saves most of the time that
    building it takes.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple = (),
        kwargs: dict | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in FILLS:
            return args[0] if args else kwargs['tensor']
        return func(*args, **kwargs)
