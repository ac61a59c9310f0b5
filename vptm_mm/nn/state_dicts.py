"""State dicts: their digest, and where one does not fit another."""

import hashlib
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

MAX_LINES = 20  # of an error


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """Return the sha256 of names, types, shapes and bits, in hexadecimal.

    It does not depend on the order of the mapping, on the device or on the
    file that the tensors came from.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(
            f'{name} {tensor.dtype} {tuple(tensor.shape)}\n'.encode()
        )
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def state_differences(
    wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]
) -> list[str]:
    """Compare names and shapes of two state dicts.

    Returns:
        A line for each: ``-`` missing, ``+`` unexpected, ``!`` wrong.
    """
    both = sorted(wanted.keys() & given.keys())
    return [
        *(f'- {name}' for name in sorted(wanted.keys() - given.keys())),
        *(f'+ {name}' for name in sorted(given.keys() - wanted.keys())),
        *(
            f'! {name}: {tuple(given[name].shape)} in the file, '
            f'{tuple(wanted[name].shape)} in the model'
            for name in both
            if given[name].shape != wanted[name].shape
        ),
    ]


def describe_differences(lines: Sequence[str]) -> str:
    """Return the first lines of ``state_differences``, with a legend."""
    more = [f'... and {len(lines) - MAX_LINES} more']
    first = [*lines[:MAX_LINES], *more * (len(lines) > MAX_LINES)]
    return '\n  '.join(['(- missing, + unexpected, ! wrong):', *first])


def require_same_state(
    wanted: Mapping[str, Tensor],
    given: Mapping[str, Tensor],
    what: str,
    advice: str = 'Use the config that it was trained with.',
) -> None:
    """Refuse a state dict of other names or shapes.

    Args:
        wanted: That of the module.
        given: That of a file.
        what: The beginning of the error.
        advice: Its end.

    Raises:
        ValueError: If they differ; the text lists where.
    """
    lines = state_differences(wanted, given)
    if lines:
        raise ValueError(f'{what} {describe_differences(lines)}\n{advice}')


def part_of(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the entries whose names begin with a prefix, without it."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in state.items()
        if name.startswith(prefix)
    }


def without_derived(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Leave out the buffers of a BEiT that follow from its configuration."""
    return {
        name: tensor
        for name, tensor in state.items()
        if not name.endswith('relative_position_index')
    }
