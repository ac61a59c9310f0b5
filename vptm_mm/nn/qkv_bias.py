"""The bias of queries, keys and values in BEiT's attention.

Symbols: C embedding width.
"""

from typing import Any

import torch
from torch import Tensor


def qkv_bias(attention: Any) -> Tensor | None:
    """Return the bias of the host's ``BEiTAttention``, ``(3C,)``, if any.

    BEiT keeps those of queries and values apart, and keys have none.
    """
    if attention.bias != 'qv_bias':
        return attention.qkv.bias
    no_bias = torch.zeros_like(attention.v_bias)
    return torch.cat([attention.q_bias, no_bias, attention.v_bias])
