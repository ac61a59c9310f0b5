"""Reads pre-trained BEiT v2 files strictly, whatever their layout.

The worst fault of a frozen backbone is that it was never loaded. So a file
either fits tensor by tensor, or one error names what is missing, unexpected or
of another shape.
"""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.logging import MMLogger
from mmpretrain.models.utils import resize_relative_position_bias_table
from torch import Tensor

from ..bricks import StateDifference, compare_states
from .checkpoint_file import fetch, read_tensors, sha256
from .checkpoint_layouts import PREDICTOR, to_our_names
from .preprocessing import Preprocessing, trained_with

MASK = 'encoder.mask_token'
TABLE = 'encoder.rel_pos_bias.relative_position_bias_table'
# A cubic spline needs more points than this along each side.
CUBIC = 3


class Pretrained(NamedTuple):
    """What was read.

    Args:
        tensors: A tensor for each name that was wanted.
        trained_with: How images were normalised; None if nobody knows.
    """

    tensors: dict[str, Tensor]
    trained_with: Preprocessing | None


def read_pretrained(
    checkpoint: str | PathLike, frozen: dict[str, Tensor]
) -> Pretrained:
    """Read the frozen tensors of a backbone, all of them or none.

    Reads Microsoft's layout, MMPretrain's pre-training layout, transformers'
    and our own checkpoints. A position bias table of another size is
    interpolated. What was read, dropped and resized is logged.

    Args:
        checkpoint: A path, or a ``file://``, ``http(s)://`` or ``vptm_mm://``
            address; the last names a file that comes with the package.
        frozen: The tensors that are wanted, by the names of ``FrozenBEiT``;
            their shapes count, not their values.

    Raises:
        FileNotFoundError: If there is no such file.
        RuntimeError: If a download fails.
        TypeError: If ``checkpoint`` is neither a path nor an address.
        ValueError: If the file is no checkpoint, is damaged, is fine-tuned,
            or does not fit; the text lists ``-`` missing, ``+`` unexpected
            and ``!`` wrong tensors.
    """
    path = fetch(checkpoint)
    # Side by side: a digest takes as long as reading.
    with ThreadPoolExecutor(max_workers=1) as pool:
        digest = pool.submit(sha256, path)
        tensors, meta = read_tensors(path)
        layout, tensors, dropped = to_our_names(tensors, path)
    preprocessing = trained_with(path, layout, dropped, meta)
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
        f'  trained with {preprocessing or "unknown preprocessing"}'
    )
    return Pretrained(tensors, preprocessing)


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
    with _interp2d_of_old():
        offsets = resize_relative_position_bias_table(
            old, new, table[:-3], table.size(1)
        )
    tensors[TABLE] = torch.cat([offsets, table[-3:]])
    sides = [(side + 1) // 2 for side in (old, new)]
    return (
        f'{TABLE} from {sides[0]}x{sides[0]} to {sides[1]}x{sides[1]} patches'
    )


class _CubicInterp2d:
    """What ``scipy.interpolate.interp2d`` computed on a regular grid."""

    def __init__(self, x: Any, y: Any, z: Any, kind: str) -> None:
        # Not at the top: it would slow every start.
        from scipy import interpolate

        self.spline = interpolate.RectBivariateSpline(x, y, z.T)

    def __call__(self, x: Any, y: Any) -> Any:
        return self.spline(x, y).T


@contextmanager
def _interp2d_of_old() -> Iterator[None]:
    """Give MMPretrain's function the ``interp2d`` that SciPy 1.14 removed."""
    from scipy import interpolate

    original = interpolate.interp2d
    interpolate.interp2d = _CubicInterp2d
    try:
        yield
    finally:
        interpolate.interp2d = original


def _check_fit(
    tensors: dict[str, Tensor],
    frozen: dict[str, Tensor],
    path: Path,
    layout: str,
) -> None:
    """Compare names, shapes, values; raise one error that lists them all."""
    difference = compare_states(frozen, tensors)
    difference.wrong.extend(
        f'{name}: holds NaN or infinite values'
        for name, tensor in tensors.items()
        if not tensor.isfinite().all()
    )
    if MASK in tensors and not tensors[MASK].any():
        difference.wrong.append(f'{MASK}: is all zero, it was never trained')
    if difference:
        raise ValueError(
            f'{path} ({layout} layout) does not fit the frozen backbone '
            f'(- missing, + unexpected, ! wrong):\n  {difference}\n'
            f'{_advice(difference)}'
        )


def _advice(difference: StateDifference) -> str:
    missing = difference.missing
    if MASK in missing:
        return (
            'It has no mask token: it looks like a fine-tuned or supervised '
            'model. VPTM needs the file of the self-supervised pre-training, '
            'e.g. beitv2_base_patch16_224_pt1k.pth.'
        )
    if any(name.startswith('backbone.ln1.') for name in difference.unexpected):
        return (
            'Its backbone has a final norm of its own, as BEiT v1 has. BEiT '
            'v2 is pre-trained with final_norm=False and a norm in the neck.'
        )
    if any(PREDICTOR in text for text in difference.wrong):
        return (
            'The token predictor is of another size: set num_visual_tokens '
            'to the first number in the file.'
        )
    if any(name.startswith(PREDICTOR) for name in missing):
        return (
            "It has no token predictor; use visual_token='hidden' or a file "
            'that has one.'
        )
    return 'Compare arch, patch_size and in_channels of the encoder with it.'
