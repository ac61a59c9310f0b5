"""Reads pre-trained BEiT v2 files strictly, whatever their layout.

The worst fault of a frozen backbone is that it was never loaded. So a file
either fits tensor by tensor, or one error names what is missing, unexpected or
of another shape.
"""

import hashlib
import math
import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import torch
from mmengine.dist import barrier, is_main_process
from mmengine.logging import MMLogger
from mmpretrain.models.utils import resize_relative_position_bias_table
from scipy import interpolate
from torch import Tensor

if TYPE_CHECKING:
    from .backbones.frozen_beit import FrozenBEiT

PACKAGED = 'vptm_mm://'
TABLE = 'encoder.rel_pos_bias.relative_position_bias_table'
PREDICTOR = 'token_predictor.'
MAX_NAMES = 20


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
        dropped=r'cls_pt_layers\.',
    ),
    Layout(
        name='VPTM',
        marker=r'backbone\.encoder\.layers\.\d+\.ln1\.weight',
        renames=(
            (r'backbone\.encoder\.', r'encoder.'),
            (r'backbone\.token_predictor\.', PREDICTOR),
        ),
        dropped=r'backbone\.prompt_tokens\.|head\.|data_preprocessor\.',
    ),
    Layout(
        name='MMPretrain',
        marker=r'backbone\.layers\.\d+\.ln1\.weight',
        renames=(
            (r'backbone\.', r'encoder.'),
            (r'neck\.norm\.', r'encoder.ln1.'),
            (r'head\.cls_head\.', PREDICTOR),
        ),
        dropped=(
            r'neck\.(patch_aggregation|cls_pt_layers)\.|target_generator\.'
            r'|data_preprocessor\.'
        ),
    ),
)


def load_pretrained(backbone: 'FrozenBEiT', checkpoint: str) -> None:
    """Load the frozen tensors of a backbone, all of them or none.

    Reads Microsoft's layout, MMPretrain's pre-training layout and our own
    checkpoints. A position bias table of another size is interpolated by
    MMPretrain's function. What was loaded, dropped and resized is logged.

    Args:
        backbone: Receives the tensors.
        checkpoint: A path, or a ``file://``, ``http(s)://`` or ``vptm_mm://``
            address; the last names a file that comes with the package.

    Raises:
        FileNotFoundError: If there is no such file.
        RuntimeError: If a download fails.
        ValueError: If the file is no checkpoint, is damaged, is fine-tuned,
            or does not fit; the text lists ``-`` missing, ``+`` unexpected
            and ``!`` misshapen tensors.
    """
    path = fetch(checkpoint)
    source = read_tensors(path)
    layout, tensors, dropped = to_our_names(source, path)
    frozen = backbone.frozen_state_dict()
    if backbone.token_predictor is None:
        dropped += [name for name in tensors if name.startswith(PREDICTOR)]
        tensors = {k: v for k, v in tensors.items() if k not in set(dropped)}
    resized = _resize_table(tensors, frozen)
    _check_fit(tensors, frozen, path, layout)

    backbone.load_state_dict(tensors, strict=False)
    prefixes = sorted({'.'.join(name.split('.')[:2]) for name in dropped})
    MMLogger.get_current_instance().info(
        f'Pre-trained weights: {path}\n'
        f'  layout {layout}, sha256 {sha256(path)}\n'
        f'  loaded {len(tensors)} of {len(frozen)} frozen tensors\n'
        f'  dropped {len(dropped)} ({", ".join(prefixes) or "none"})\n'
        f'  resized {resized or "none"}'
    )


def fetch(checkpoint: str) -> Path:
    """Turn the address of a checkpoint into the path of a local file."""
    scheme = urlparse(checkpoint).scheme
    if checkpoint.startswith(PACKAGED):
        folder = resources.files('vptm_mm') / 'checkpoints'
        path = Path(str(folder / checkpoint[len(PACKAGED) :]))
    elif scheme in ('http', 'https'):
        path = _download(checkpoint)
    elif scheme == 'file':
        path = Path(url2pathname(urlparse(checkpoint).path))
    else:
        path = Path(checkpoint).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f'no pre-trained weights at {path.absolute()} (from checkpoint='
            f'{checkpoint!r}); give the path of a BEiT v2 pre-training file '
            'by --cfg-options model.backbone.init_cfg.checkpoint=PATH.'
        )
    return path


def _download(url: str) -> Path:
    """Fetch a file into torch's cache, once, from the first rank."""
    folder = Path(torch.hub.get_dir()) / 'checkpoints'
    path = folder / Path(urlparse(url).path).name
    if is_main_process() and not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path))
        except OSError as error:
            raise RuntimeError(
                f'could not download {url} ({error}); fetch it on another '
                f'machine and copy it to {path}, or give a local path by '
                '--cfg-options model.backbone.init_cfg.checkpoint=PATH.'
            ) from error
    barrier()
    return path


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint; no code in it is run."""
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        KeyError,
        AttributeError,
    ) as error:
        raise ValueError(
            f'{path} ({path.stat().st_size} bytes) is no readable checkpoint: '
            'it is cut short, damaged, of another format, or holds objects '
            'other than tensors. Fetch it again; the sha256 of what is there '
            f'is {sha256(path)}.\n{error}'
        ) from error
    for key in ('state_dict', 'model'):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict) or not all(
        isinstance(value, Tensor) for value in content.values()
    ):
        raise ValueError(
            f'{path} holds no state dict; expected one under the key '
            "'state_dict' (MMPretrain) or 'model' (Microsoft)."
        )
    return content


def to_our_names(
    source: dict[str, Tensor], path: Path
) -> tuple[str, dict[str, Tensor], list[str]]:
    """Recognise the layout and rename its tensors.

    Returns:
        The layout's name, tensors by the names of ``VPTMBackbone`` (unknown
        ones by their own), and the names that were dropped.
    """
    for layout in LAYOUTS:
        if any(re.fullmatch(layout.marker, name) for name in source):
            break
    else:
        raise ValueError(
            f'{path} is no BEiT v2: none of the layouts '
            f'{[layout.name for layout in LAYOUTS]} fits its {len(source)} '
            f'tensors, which begin with {sorted(source)[:3]}.'
        )
    tensors, dropped = {}, []
    for name, tensor in source.items():
        if re.match(layout.dropped, name) or name.endswith(
            'relative_position_index'
        ):
            dropped.append(name)
            continue
        for pattern, ours in layout.renames:
            renamed, matches = re.subn(f'^{pattern}', ours, name)
            if matches:
                break
        tensors[renamed] = tensor
    return layout.name, tensors, dropped


def _resize_table(
    tensors: dict[str, Tensor], frozen: dict[str, Tensor]
) -> str:
    """Interpolate the position bias table to our grid; say how."""
    if TABLE not in tensors or tensors[TABLE].shape == frozen[TABLE].shape:
        return ''
    table, ours = tensors[TABLE], frozen[TABLE]
    old, new = (math.isqrt(len(t) - 3) for t in (table, ours))
    if (
        table.ndim != 2
        or old**2 != len(table) - 3
        or len(table[0]) != len(ours[0])
    ):
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
        self.spline = interpolate.RectBivariateSpline(x, y, z.T)

    def __call__(self, x: Any, y: Any) -> Any:
        return self.spline(x, y).T


@contextmanager
def _interp2d_of_old() -> Iterator[None]:
    """Give MMPretrain's function the ``interp2d`` that SciPy 1.14 removed."""
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
    """Compare names and shapes; raise one error that lists all differences."""
    missing = sorted(set(frozen) - set(tensors))
    unexpected = sorted(set(tensors) - set(frozen))
    shapes = [
        f'! {name}: {tuple(tensors[name].shape)} in the file, '
        f'{tuple(frozen[name].shape)} in the model'
        for name in sorted(set(frozen) & set(tensors))
        if tensors[name].shape != frozen[name].shape
    ]
    if not (missing or unexpected or shapes):
        return
    lines = [f'- {n}' for n in missing] + [f'+ {n}' for n in unexpected]
    lines += shapes
    if len(lines) > MAX_NAMES:
        lines[MAX_NAMES:] = [f'... and {len(lines) - MAX_NAMES} more']
    raise ValueError(
        f'{path} ({layout} layout) does not fit the frozen backbone '
        '(- missing, + unexpected, ! other shape):\n  '
        + '\n  '.join(lines)
        + f'\n{_advice(missing, shapes)}'
    )


def _advice(missing: list[str], shapes: list[str]) -> str:
    if 'encoder.mask_token' in missing:
        return (
            'It has no mask token: it looks like a fine-tuned or supervised '
            'model. VPTM needs the file of the self-supervised pre-training, '
            'e.g. beitv2_base_patch16_224_pt1k.pth.'
        )
    if any(PREDICTOR in line for line in shapes):
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


def sha256(path: Path) -> str:
    """Return the digest of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
