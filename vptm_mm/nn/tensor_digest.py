"""The sha256 of tensors, to the bit."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor


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
