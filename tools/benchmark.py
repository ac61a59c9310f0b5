"""Measure VPTM beside other implementations of the same blocks.

    python tools/benchmark.py --threads 2 --out benchmark.json

Ours beside MMPretrain's stock blocks, and beside timm's and Hugging Face
transformers' where they are installed (`vptm_mm[bench]`): one sequence with
prompts and [MASK], one position bias, one set of weights. Nothing is timed
before all agree. One process, repetitions interleaved, medians. Weights are
random: speed does not depend on them. Ratios are to the stock blocks.
"""

import argparse
import functools
import importlib.util
import json
import math
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import vptm_mm  # noqa: F401

# isort: split

import torch
from mmengine.logging import MMLogger
from rich.progress import track
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from vptm_mm.bricks import freeze
from vptm_mm.models import VPTMBackbone

PEERS = ('timm', 'transformers')
TOLERANCE = 1e-4
# A kernel for CPUs that the counter does not know.
UNCOUNTED = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: (
        lambda query, key, value, *_, **__: sdpa_flop_count(query, key, value)
    )
}


class Sequence(nn.Module):
    """Blocks of any implementation on the sequence of a backbone of ours.

    Args:
        backbone: Brings embedding, prompts, position bias and final norm.
        blocks: Each called with states, ``(B, S, C)``, and a bias.
        whole_bias: Whether the bias is ``(1, h, S, S)``, not ``(h, S, S)``.
    """

    def __init__(
        self, backbone: VPTMBackbone, blocks: list[nn.Module], whole_bias: bool
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.blocks = nn.ModuleList(blocks)
        self.whole_bias = whole_bias
        freeze(self.blocks)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        encoder, sequence = self.backbone.encoder, self.backbone.sequence
        tokens = self.backbone.run_prefix(x)
        tokens = self.backbone.prompt_tokens(tokens, 0, sequence.prompt_start)
        table = encoder.rel_pos_bias.relative_position_bias_table
        bias = sequence.prompted_bias(table)
        bias = bias[None] if self.whole_bias else bias
        for block in self.blocks:
            tokens = block(tokens, bias)
        return (encoder.norm1(tokens[:, sequence.masks]).flatten(1),)


class StockBlock(nn.Module):
    """A block of MMPretrain, called with the bias as second argument."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, tokens: Tensor, bias: Tensor) -> Tensor:
        return self.layer(tokens, rel_pos_bias=bias)


def load_block(block: nn.Module, state: dict, names: dict) -> nn.Module:
    """Give a block the host's weights under its own names."""
    renamed = {}
    for name, tensor in state.items():
        for host, other in names.items():
            name = name.replace(host, other)
        renamed[name] = tensor
    left = block.load_state_dict(renamed, strict=False)
    if left.unexpected_keys or left.missing_keys:
        raise RuntimeError(f'weights do not fit: {left}; another version?')
    return block


def timm_block(layer: nn.Module) -> nn.Module:
    from timm.models.beit import Block

    block = Block(
        layer.attn.embed_dims,
        layer.attn.num_heads,
        qkv_bias=True,
        init_values=0.1,
        norm_layer=functools.partial(nn.LayerNorm, eps=layer.ln1.eps),
    )
    names = {
        'ffn.layers.0.0': 'mlp.fc1',
        'ffn.layers.1': 'mlp.fc2',
        'ln': 'norm',
    }
    return load_block(block, layer.state_dict(), names)


def transformers_block(layer: nn.Module) -> nn.Module:
    from transformers import BeitConfig
    from transformers.models.beit.modeling_beit import BeitLayer

    config = BeitConfig(
        hidden_size=layer.attn.embed_dims,
        num_attention_heads=layer.attn.num_heads,
        intermediate_size=layer.ffn.layers[0][0].out_features,
        layer_norm_eps=layer.ln1.eps,
        attn_implementation='sdpa',
    )
    state = layer.state_dict()
    weights = state.pop('attn.qkv.weight').chunk(3)
    for name, weight in zip('qkv', weights, strict=True):
        state[f'attn.{name}_proj.weight'] = weight
    names = {
        'ffn.layers.0.0': 'mlp.fc1',
        'ffn.layers.1': 'mlp.fc2',
        'ln1': 'layernorm_before',
        'ln2': 'layernorm_after',
        'gamma': 'lambda',
        'attn.q_bias': 'attn.q_proj.bias',
        'attn.v_bias': 'attn.v_proj.bias',
        'attn.proj': 'attn.o_proj',
        'attn': 'attention',
    }
    return load_block(BeitLayer(config), state, names)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--arch', default='base', help="of MMPretrain's BEiT")
    parser.add_argument('--img-size', type=int, default=224)
    parser.add_argument(
        '--batch-sizes', type=int, nargs='+', default=[1, 8, 32]
    )
    parser.add_argument('--prompt-length', type=int, default=10)
    parser.add_argument('--repetitions', type=int, default=5)
    parser.add_argument('--threads', type=int, help="default: torch's choice")
    parser.add_argument(
        '--peers',
        nargs='*',
        choices=PEERS,
        help='default: those that are installed',
    )
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--out', type=Path, help='JSON file')
    args = parser.parse_args()
    if args.prompt_length < 1:
        parser.error('--prompt-length must be at least 1: it is what trains')
    installed = [name for name in PEERS if importlib.util.find_spec(name)]
    if args.peers is None:
        args.peers = installed
    for name in args.peers:
        if name not in installed:
            parser.error(f"--peers {name} is missing; pip install '{name}'")
    return args


def build_entrants(args: argparse.Namespace) -> dict[str, nn.Module]:
    encoder = dict(
        type='BEiTPretrainViT', arch=args.arch, img_size=args.img_size
    )
    build = functools.partial(VPTMBackbone, encoder, args.prompt_length)
    torch.manual_seed(0)
    plain = build(speedups=())
    state = {
        # Norms and layer scale near their values, all else around zero.
        name: torch.randn(tensor.shape) * 0.02
        + (1 if 'ln' in name and name.endswith('weight') else 0)
        + (0.1 if 'gamma' in name else 0)
        for name, tensor in plain.frozen_state_dict().items()
    }
    layers = list(plain.encoder.layers)
    ours, late = build(), build(prompt_blocks=(len(layers) * 2 // 3,))
    for backbone in (plain, ours, late):
        backbone.load_state_dict(state, strict=False)
    ours.prompt_tokens.load_state_dict(plain.prompt_tokens.state_dict())
    entrants = dict(
        mmpretrain=Sequence(plain, [StockBlock(x) for x in layers], False),
        ours=ours,
        late=late,
    )
    blocks = dict(timm=timm_block, transformers=transformers_block)
    for name in args.peers:
        entrants[name] = Sequence(
            plain, [blocks[name](x) for x in layers], True
        )
    return {
        name: entrant.eval().to(args.device)
        for name, entrant in entrants.items()
    }


@torch.no_grad()
def check(entrants: dict[str, nn.Module], images: Tensor) -> dict:
    """Compare what all compute; late prompts compute something else."""
    (expected,) = entrants['ours'](images)
    differences = {}
    for name, entrant in entrants.items():
        if name in ('ours', 'late'):
            continue
        difference = (entrant(images)[0] - expected).abs().max().item()
        if not difference <= TOLERANCE:
            raise RuntimeError(
                f'{name} differs from ours by {difference:.1e}, over '
                f'{TOLERANCE}; nothing is timed.'
            )
        differences[name] = difference
    return differences


def training_step(entrant: nn.Module, images: Tensor) -> Callable[[], None]:
    tuned = [p for p in entrant.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(tuned, lr=0.0)

    def step() -> None:
        optimizer.zero_grad()
        entrant(images)[0].square().mean().backward()
        optimizer.step()

    return step


def inference(entrant: nn.Module, images: Tensor) -> Callable[[], None]:
    def infer() -> None:
        with torch.inference_mode():
            entrant(images)

    return infer


def kept_mb(entrant: nn.Module, images: Tensor) -> float:
    """Memory that a forward pass keeps for the backward pass, in MB."""
    weights = {
        x.untyped_storage().data_ptr()
        for x in (*entrant.parameters(), *entrant.buffers())
    }
    sizes: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        out = entrant(images)[0]
    del out
    return sum(sizes.values()) / 1e6


def seconds(function: Callable, device: str) -> float:
    if device != 'cpu':
        torch.cuda.synchronize()
    start = time.perf_counter()
    function()
    if device != 'cpu':
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure(args: argparse.Namespace) -> dict:
    entrants = build_entrants(args)
    shape = (3, args.img_size, args.img_size)
    images = torch.randn(2, *shape, device=args.device)
    result = dict(differences=check(entrants, images), rows=[])
    for batch_size in args.batch_sizes:
        images = torch.randn(batch_size, *shape, device=args.device)
        result['rows'] += measure_batch(args, entrants, images)
    return result | dict(
        arch=args.arch,
        img_size=args.img_size,
        prompt_length=args.prompt_length,
        repetitions=args.repetitions,
        threads=torch.get_num_threads(),
        device=args.device,
        torch=torch.__version__,
        python=platform.python_version(),
    )


def measure_batch(
    args: argparse.Namespace, entrants: dict[str, nn.Module], images: Tensor
) -> list[dict]:
    encoder = entrants['ours'].encoder
    width = encoder.embed_dims
    states = encoder.cls_token.new_ones(
        len(images)
        * (2 + math.prod(encoder.patch_resolution) + args.prompt_length),
        width,
    )
    weight = states.new_ones(width, 4 * width)
    product_flops = 2 * len(states) * width * 4 * width
    runs = {('product', 'matmul'): lambda: states @ weight}
    for name, entrant in entrants.items():
        runs[name, 'inference'] = inference(entrant, images)
        runs[name, 'training'] = training_step(entrant, images)
    times: dict[tuple[str, str], list[float]] = {key: [] for key in runs}
    for repetition in track(
        range(args.repetitions + 1), description=f'batch {len(images)}'
    ):
        for key, function in runs.items():
            taken = seconds(function, args.device)
            if repetition:  # the first one warms up
                times[key].append(taken)
    rate = product_flops / statistics.median(times.pop(('product', 'matmul')))
    rows = []
    for (name, what), taken in times.items():
        row = dict(
            batch_size=len(images),
            what=what,
            name=name,
            median_s=statistics.median(taken),
            fastest_s=min(taken),
            slowest_s=max(taken),
            # Within a repetition, so that a busy machine slows both.
            faster=statistics.median(
                stock / own
                for stock, own in zip(
                    times['mmpretrain', what], taken, strict=True
                )
            ),
        )
        if what == 'training':
            row['kept_mb'] = kept_mb(entrants[name], images)
        else:
            with (
                FlopCounterMode(
                    display=False, custom_mapping=UNCOUNTED
                ) as counter,
                torch.no_grad(),
            ):
                entrants[name](images)
            row['flops'] = counter.get_total_flops()
            row['of_limit'] = row['flops'] / row['median_s'] / rate
        rows.append(row)
    return rows


def show(result: dict) -> None:
    print(f'{result["threads"]} threads, {result["device"]}')
    for name, difference in result['differences'].items():
        print(f'{name} agrees with ours within {difference:.1e}')
    print('| batch | what | blocks | s | spread | faster | MB | of limit |')
    print('|---|---|---|---|---|---|---|---|')
    for row in result['rows']:
        kept, limit = row.get('kept_mb'), row.get('of_limit')
        print(
            f'| {row["batch_size"]} | {row["what"]} | {row["name"]} '
            f'| {row["median_s"]:.4f} '
            f'| {row["fastest_s"]:.4f} to {row["slowest_s"]:.4f} '
            f'| {row["faster"]:.2f} '
            f'| {"-" if kept is None else f"{kept:.1f}"} '
            f'| {"-" if limit is None else f"{limit:.0%}"} |'
        )


def main() -> None:
    args = parse_args()
    MMLogger.get_current_instance().setLevel('WARNING')
    if args.threads:
        torch.set_num_threads(args.threads)
    result = measure(args)
    show(result)
    if args.out:
        args.out.write_text(json.dumps(result, indent=2) + '\n')


if __name__ == '__main__':
    main()
