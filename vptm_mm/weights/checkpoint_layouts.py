"""How the tensors of a BEiT v2 are named, in whose files."""

import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

PREDICTOR = 'token_predictor.'  # where the names of its tensors begin
# Parts of transformers' names, and what they are here.
BLOCK = r'beit\.(?:encoder\.layer|layers)\.(\d+)\.'
ATTENDED = r'attention\.(?:attention\.)?'
# What of a VQ-KD file only its training reads.
TOKENIZER_DROPPED = (
    r'decoder\.|decode_task_layer\.|teacher_model\.|scaling_layer\.'
    r'|quantize\.embedding\.(cluster_size|embed_avg)$'
)
ATTENTION = r'encoder.layers.\1.attn.'


@dataclass(frozen=True)
class Layout:
    """How one project names the tensors of a BEiT v2.

    Args:
        name: For messages.
        marker: A pattern that some key of this layout, and of no other,
            matches.
        renames: Patterns of keys, each with our name; the first match counts.
        dropped: Pattern of keys that only pre-training or training reads.
    """

    name: str
    marker: str
    renames: tuple[tuple[str, str], ...]
    dropped: str


LAYOUTS = (
    Layout(
        name='Microsoft',
        marker=r'blocks\.\d+\.norm1\.weight',
        renames=(
            (r'blocks\.(\d+)\.norm(\d)\.', r'encoder.layers.\1.ln\2.'),
            (
                r'blocks\.(\d+)\.mlp\.fc1\.',
                r'encoder.layers.\1.ffn.layers.0.0.',
            ),
            (r'blocks\.(\d+)\.mlp\.fc2\.', r'encoder.layers.\1.ffn.layers.1.'),
            (r'blocks\.', r'encoder.layers.'),
            (r'patch_embed\.proj\.', r'encoder.patch_embed.projection.'),
            (r'norm\.', r'encoder.ln1.'),
            (r'lm_head\.', PREDICTOR),
            (r'(cls_token|mask_token|rel_pos_bias\.)', r'encoder.\1'),
        ),
        dropped=r'cls_pt_',
    ),
    Layout(
        name='transformers',
        marker=r'beit\..*layers?\.\d+\.layernorm_before\.weight',
        # Version 5 has other names in memory than in the files it writes.
        renames=(
            (BLOCK + r'attention\.output\.dense\.', ATTENTION + 'proj.'),
            (BLOCK + r'attention\.o_proj\.', ATTENTION + 'proj.'),
            (BLOCK + ATTENDED + r'q(uery|_proj)\.bias', ATTENTION + 'q_bias'),
            (BLOCK + ATTENDED + r'v(alue|_proj)\.bias', ATTENTION + 'v_bias'),
            (
                BLOCK + ATTENDED + r'(q|k|v)(?:uery|ey|alue|_proj)\.',
                ATTENTION + r'\2.',
            ),
            (
                BLOCK + r'(?:intermediate\.dense|mlp\.fc1)\.',
                r'encoder.layers.\1.ffn.layers.0.0.',
            ),
            (
                BLOCK + r'(?:output\.dense|mlp\.fc2)\.',
                r'encoder.layers.\1.ffn.layers.1.',
            ),
            (BLOCK + r'layernorm_before\.', r'encoder.layers.\1.ln1.'),
            (BLOCK + r'layernorm_after\.', r'encoder.layers.\1.ln2.'),
            (BLOCK + r'lambda_(\d)', r'encoder.layers.\1.gamma_\2'),
            (r'beit\.embeddings\.patch_embeddings\.', r'encoder.patch_embed.'),
            (r'beit\.embeddings\.(cls_token|mask_token)', r'encoder.\1'),
            (
                r'beit\.(?:encoder\.relative|shared)_position_bias\.',
                r'encoder.rel_pos_bias.',
            ),
            (r'layernorm\.', r'encoder.ln1.'),
            (r'lm_head\.', PREDICTOR),
        ),
        dropped=r'(?!)',
    ),
    Layout(
        name='VPTM',
        marker=r'backbone\.encoder\.layers\.\d+\.ln1\.weight',
        renames=(
            (r'backbone\.encoder\.', r'encoder.'),
            (r'backbone\.token_predictor\.', PREDICTOR),
        ),
        # Whatever was tuned beside the encoder: prompts, updates, adapters.
        dropped=(
            r'backbone\.(?!encoder\.|token_predictor\.)'
            r'|head\.'
            r'|data_preprocessor\.'
        ),
    ),
    Layout(
        name='MMPretrain',
        marker=r'backbone\.layers\.\d+\.ln1\.weight',
        renames=(
            # A norm in the backbone is BEiT v1's; BEiT v2 reads tokens after
            # the neck's. Left as it is, it is unexpected.
            (r'backbone\.ln1\.', r'backbone.ln1.'),
            (r'backbone\.', r'encoder.'),
            (r'neck\.norm\.', r'encoder.ln1.'),
            (r'head\.cls_head\.', PREDICTOR),
        ),
        dropped=(
            r'neck\.(patch_aggregation|cls_pt_layers|rel_pos_bias)\.'
            r'|target_generator\.'
            r'|data_preprocessor\.'
        ),
    ),
)


def to_our_names(
    source: dict[str, Tensor], path: Path
) -> tuple[str, dict[str, Tensor], list[str]]:
    """Recognise the layout and rename its tensors.

    Returns:
        The layout's name, tensors by the names of ``VPTMBackbone`` (unknown
        ones by their own), and the names that were dropped.
    """
    names = '\n'.join(source)
    for layout in LAYOUTS:
        if re.search(f'^{layout.marker}$', names, re.MULTILINE):
            break
    else:
        raise ValueError(
            f'{path} is not a BEiT v2: none of the layouts '
            f'{[layout.name for layout in LAYOUTS]} fits its {len(source)} '
            f'tensors, which begin with {sorted(source)[:3]}.'
        )
    tensors, dropped = {}, []
    for name, tensor in source.items():
        if re.match(layout.dropped, name) or name.endswith(
            'relative_position_index'
        ):
            dropped.append(name)
        else:
            tensors[_rename(name, layout)] = tensor
    _join_projections(tensors)
    return layout.name, tensors, dropped


def _rename(name: str, layout: Layout) -> str:
    for pattern, ours in layout.renames:
        renamed, matches = re.subn(f'^{pattern}', ours, name)
        if matches:
            return renamed
    return name


def tokenizer_names(source: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give a VQ-KD tokenizer MMPretrain's names, and drop what trains it.

    Read are files of MMPretrain, MMSelfSup and Microsoft. The last two hold
    statistics of the codebook that nothing reads, Microsoft's the decoder and
    the teacher, too; its final norm is called ``fc_norm``.
    """
    tensors = {}
    for name, tensor in source.items():
        if re.match(TOKENIZER_DROPPED, name):
            continue
        part = name.removeprefix('encoder.')
        if part != name:
            part = part.removeprefix('fc_')
            renamed = _rename(part, LAYOUTS[0])
            name = name if renamed == part else renamed
        tensors[name] = tensor
    return tensors


def _join_projections(tensors: dict[str, Tensor]) -> None:
    """Make one tensor of query, key and value where they are apart."""
    for name in [n for n in tensors if n.endswith('.attn.q.weight')]:
        attention = name.removesuffix('q.weight')
        parts = [f'{attention}{part}.weight' for part in 'qkv']
        if all(part in tensors for part in parts):
            tensors[f'{attention}qkv.weight'] = torch.cat(
                [tensors.pop(part) for part in parts]
            )
