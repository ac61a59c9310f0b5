"""A pool beside Hugging Face peft: LoRA of rank 8 on the same ViT.

Symbols: B batch.
"""

import itertools
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from vptm_mm.models.encoder import FrozenEncoder
from vptm_mm.tasks import VPTMTaskPool

from .measure import time_in_turn

RANK = 8


def make_adapted(encoder: FrozenEncoder, count: int) -> nn.Module:
    """Return a ViT of the same size with LoRA on query and value.

    Its weights are random. It has no heads: peft runs the backbone alone.

    Args:
        encoder: Whose size it has.
        count: Adapters.
    """
    from peft import LoraConfig, get_peft_model
    from transformers import BeitConfig, BeitModel

    block = encoder.layers[0]
    options: dict[str, Any] = dict(
        hidden_size=encoder.embed_dims,
        num_hidden_layers=encoder.num_layers,
        num_attention_heads=block.attn.num_heads,
        intermediate_size=block.ffn.layers[0][0].out_features,
        image_size=encoder.img_size[0],
        patch_size=encoder.img_size[0] // encoder.patch_resolution[0],
        use_shared_relative_position_bias=True,
        attn_implementation='sdpa',
    )
    lora = LoraConfig(
        r=RANK,
        target_modules=['q_proj', 'v_proj'],
        init_lora_weights=False,  # none of them is zero
    )
    model = get_peft_model(BeitModel(BeitConfig(**options)), lora, '0')
    for number in range(1, count):
        model.add_adapter(str(number), lora)
    return model.to(block.ln1.weight.dtype).eval()


def beside_peft(
    pool: VPTMTaskPool,
    batch_sizes: list[int],
    counts: list[int],
    repetitions: int,
) -> list[dict[str, Any]]:
    """Time mixed batches of a pool and of peft, in turn.

    Args:
        pool: Holds as many tasks as the largest count.
        batch_sizes: Images B.
        counts: Tasks, or adapters, in a batch.
        repetitions: How often each is timed.
    """
    model = make_adapted(pool.encoder, max(counts))
    names = list(pool.tasks)
    rows = []
    for size, count in itertools.product(batch_sizes, counts):
        images = torch.randn(size, 3, *pool.encoder.img_size)
        inputs = images.to(pool.encoder.layers[0].ln1.weight.dtype)
        mixed = [i % count for i in range(size)]
        adapters = [str(i) for i in mixed]
        tasks = [names[i] for i in mixed]
        taken = time_in_turn(
            {
                'pool': lambda x=images, t=tasks: pool(x, t),
                'pool, one task': lambda x=images: pool(x, names[0]),
                'peft': _without_grad(model, inputs, adapters),
                'peft, one adapter': _without_grad(model, inputs),
            },
            repetitions,
            f'{size} images, {count} tasks',
        )
        rates = {key: size / time.median for key, time in taken.items()}
        ratio = rates['pool'] / rates['peft']
        rows.append(dict(images=size, tasks=count, **rates, ratio=ratio))
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def _without_grad(
    model: nn.Module, images: torch.Tensor, adapters: list[str] | None = None
) -> Callable[[], None]:
    named = {} if adapters is None else dict(adapter_names=adapters)

    def run() -> None:
        with torch.no_grad():
            model(images, **named)

    return run
