"""Reads pre-trained BEiT v2 files strictly, whatever their layout.

The worst fault of a frozen backbone is that it was never loaded. So a file
either fits tensor by tensor, or one error names what is missing, unexpected or
of another shape.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmengine.logging import MMLogger
from torch import Tensor

from ..nn import describe_differences, state_differences
from .checkpoint_file import fetch, read_tensors
from .checkpoint_layouts import PREDICTOR, to_our_names
from .download import file_sha256
from .preprocessing import Preprocessing, trained_with

MASK = 'encoder.mask_token'
TABLE = 'encoder.rel_pos_bias.relative_position_bias_table'
# A cubic spline needs more points than this along each side.
CUBIC = 3


class EncoderWeights(NamedTuple):
    """The tensors of a BEiT v2, whatever their layout was.

    Args:
        path: The file.
        layout: Name of its layout.
        tensors: By the names of ``FrozenEncoder``; unknown ones by their own.
        dropped: Names in the file that only pre-training or training reads.
        trained_with: How images were normalised; None if nobody knows.
    """

    path: Path
    layout: str
    tensors: dict[str, Tensor]
    dropped: list[str]
    trained_with: Preprocessing | None


def read_weights(checkpoint: str | PathLike) -> EncoderWeights:
    """Read the tensors of a file, by the names of ``FrozenEncoder``.

    Args:
        checkpoint: A path, or a ``file://``, ``http(s)://`` or ``vptm_mm://``
            address; the last names a file that comes with the package.

    Raises:
        FileNotFoundError: If there is no such file.
        RuntimeError: If a download fails.
        TypeError: If ``checkpoint`` is neither a path nor an address.
        ValueError: If it is not a checkpoint of a BEiT v2, or is damaged.
    """
    path = fetch(checkpoint)
    found, meta = read_tensors(path)
    layout, tensors, dropped = to_our_names(found, path)
    known = trained_with(path, layout, dropped, meta)
    return EncoderWeights(path, layout, tensors, dropped, known)


def read_pretrained(
    checkpoint: str | PathLike, frozen: dict[str, Tensor]
) -> EncoderWeights:
    """Read the frozen tensors of a backbone, all of them or none.

    Reads Microsoft's layout, MMPretrain's pre-training layout, transformers'
    and our own checkpoints. A position bias table of another size is
    interpolated. What was read, dropped and resized is logged.

    Args:
        checkpoint: As in ``read_weights``.
        frozen: The tensors that are wanted, by the names of ``FrozenEncoder``;
            their shapes count, not their values.

    Returns:
        A tensor for each name that is wanted, and where it came from.

    Raises:
        As ``read_weights``, and
        ValueError: If the file does not fit, as a fine-tuned one; the text
            lists ``-`` missing, ``+`` unexpected and ``!`` wrong tensors.
    """
    path = fetch(checkpoint)
    # Side by side: a digest takes as long as reading.
    with ThreadPoolExecutor(max_workers=1) as pool:
        digest = pool.submit(file_sha256, path)
        _, layout, tensors, dropped, known = read_weights(path)
    if not any(name.startswith(PREDICTOR) for name in frozen):
        dropped += [name for name in tensors if name.startswith(PREDICTOR)]
        tensors = {k: v for k, v in tensors.items() if k not in set(dropped)}
    resized = _resize_table(tensors, frozen)
    _check_fit(tensors, frozen, path, layout)

    prefixes = sorted({'.'.join(name.split('.')[:2]) for name in dropped})
    MMLogger.get_current_instance().info(
        f'Pre-trained weights: {path}\n'
        f'  layout {layout}, sha256 {digest.result()}\n'
        f'  loaded {len(tensors)} of {len(frozen)} frozen tensors\n'
        f'  dropped {len(dropped)} ({", ".join(prefixes) or "none"})\n'
        f'  resized {resized or "none"}\n'
        f'  trained with {known or "unknown preprocessing"}'
    )
    return EncoderWeights(path, layout, tensors, dropped, known)


def count_visual_tokens(checkpoint: str | PathLike) -> int:
    """Return how many visual tokens the predictor of a file tells apart.

    Args:
        checkpoint: As in ``read_weights``.

    Raises:
        ValueError: If it has no token predictor.
    """
    weights = read_weights(checkpoint)
    weight = weights.tensors.get(f'{PREDICTOR}weight')
    if weight is None:
        raise ValueError(
            f'{weights.path} has no token predictor, which names visual '
            'tokens; take the file of a pre-training that has one.'
        )
    return len(weight)


def _resize_table(
    tensors: dict[str, Tensor], frozen: dict[str, Tensor]
) -> str:
    """Interpolate the position bias table to our grid; say how."""
    if TABLE not in tensors or tensors[TABLE].shape == frozen[TABLE].shape:
        return ''
    table, ours = tensors[TABLE], frozen[TABLE]
    if table.ndim != 2 or table.size(1) != ours.size(1):
        return ''
    old, new = (math.isqrt(max(len(t) - 3, 0)) for t in (table, ours))
    if old**2 != len(table) - 3 or old <= CUBIC:
        return ''
    # The last three rows are [CLS]'s: they have no place in the image.
    offsets = _resize_offsets(table[:-3], new)
    tensors[TABLE] = torch.cat([offsets, table[-3:].float()])
    sides = [(side + 1) // 2 for side in (old, new)]
    return (
        f'{TABLE} from {sides[0]}x{sides[0]} to {sides[1]}x{sides[1]} patches'
    )


def _resize_offsets(offsets: Tensor, new: int) -> Tensor:
    """Interpolate the part of the table that belongs to offsets of patches.

    As BEiT does: the old offsets are moved apart in a geometric series, whose
    last one meets the last new offset, and a cubic spline goes through them.

    Args:
        offsets: Of ``old`` x ``old`` offsets, ``(old * old, h)``.
        new: Offsets along one side that are wanted.

    Returns:
        The table, ``(new * new, h)``.
    """
    # Not at the top: it would slow every start.
    from scipy.interpolate import RectBivariateSpline

    old, reach = math.isqrt(len(offsets)), new // 2
    low, high = 1.01, 1.5
    while high - low > 1e-6:
        ratio = (low + high) / 2
        if (1 - ratio ** (old // 2)) / (1 - ratio) > reach:
            high = ratio
        else:
            low = ratio
    steps = np.cumsum(ratio ** np.arange(old // 2))
    places = np.concatenate([-steps[::-1], [0], steps])
    wanted = np.arange(-reach, reach + 1)
    maps = offsets.float().numpy().T.reshape(-1, old, old)
    resized = [
        # Transposed as in SciPy's interp2d, to which it is equal to the bit.
        RectBivariateSpline(places, places, one.T)(wanted, wanted).T.ravel()
        for one in maps
    ]
    return torch.from_numpy(np.stack(resized, axis=1)).float()


def _check_fit(
    tensors: dict[str, Tensor],
    frozen: dict[str, Tensor],
    path: Path,
    layout: str,
) -> None:
    """Compare names, shapes, values; raise one error that lists them all."""
    lines = state_differences(frozen, tensors)
    lines += [
        f'! {name}: holds NaN or infinite values'
        for name, tensor in tensors.items()
        if not tensor.isfinite().all()
    ]
    if MASK in tensors and not tensors[MASK].any():
        lines.append(f'! {MASK}: is all zero, it was never trained')
    if lines:
        advice = next(a for part, a in ADVICE.items() if part in str(lines))
        raise ValueError(
            f'{path} ({layout} layout) does not fit the frozen backbone '
            f'{describe_differences(lines)}\n{advice}'
        )


SUPERVISED = (
    'It has no trained mask token: it looks like a fine-tuned or supervised '
    'model. VPTM needs the file of the self-supervised pre-training, e.g. '
    'beitv2_base_patch16_224_pt1k.pth.'
)
# The first part of a line that is found counts.
ADVICE = {
    f'- {MASK}': SUPERVISED,
    'is all zero': SUPERVISED,
    'holds NaN': 'A run that diverged leaves such values, and so does half '
    'precision: take an earlier checkpoint, or download the file again.',
    f'- {PREDICTOR}': "It has no token predictor; use visual_token='hidden' "
    'or a file that has one.',
    '': 'Is it a BEiT v2, with its neck and its head? Compare arch, '
    'patch_size, in_channels and layer_scale_init_value of the encoder, and '
    'num_visual_tokens, with it.',
}
