"""Who takes part: ours in several ways, and other implementations.

Symbols: B batch; P prompt tokens.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from mmpretrain.models import BEiTPretrainViT
from torch import Tensor, nn

from vptm_mm.models import VPTMBackbone
from vptm_mm.models.encoder import SPEEDUPS

from .peers import make_peer

STOCK = 'mmpretrain'
OURS = 'ours'
LATE = 'late'
CACHED = 'late, cached'
COMPILED = 'ours, compiled'
SUFFIX = ', bfloat16'


@dataclass(frozen=True)
class Setting:
    """What all entrants share.

    Args:
        arch: Architecture of MMPretrain's BEiT.
        img_size: Rows and columns of an image.
        prompt_length: Prompt tokens P.
        device: Device, as torch names it.
    """

    arch: str = 'base'
    img_size: int = 224
    prompt_length: int = 10
    device: str = 'cpu'

    @property
    def num_tokens(self) -> int:
        """[CLS], patches of 16 x 16, prompts, one [MASK]."""
        return 2 + (self.img_size // 16) ** 2 + self.prompt_length

    def images(self, batch_size: int) -> Tensor:
        """Sample images, ``(B, 3, img_size, img_size)``."""
        shape = (batch_size, 3, self.img_size, self.img_size)
        return torch.randn(shape, device=self.device)


@dataclass(frozen=True)
class Entrant:
    """One of those that are timed.

    Args:
        module: Turns images, or states of the prefix, into a tuple whose last
            entry is what the head reads.
        same_as: Name of the entrant that must have the same output; None if
            there is none beside it.
        prefix: Computes the kept states that it reads in place of images.
        dtype: What the frozen blocks compute in.
    """

    module: nn.Module
    same_as: str | None = OURS
    prefix: Callable[[Tensor], Tensor] | None = None
    dtype: torch.dtype = torch.float32

    def inputs(self, images: Tensor) -> Tensor:
        """Return images, or the states that a cache would hold."""
        if self.prefix is None:
            return images
        with torch.no_grad():
            return self.prefix(images)


def make_backbone(
    setting: Setting,
    prompt_blocks: Iterable[int] = (0,),
    plain: bool = False,
    dtype: str = 'float32',
) -> VPTMBackbone:
    """Build a backbone with the weights that all entrants have.

    They are random: speed does not depend on them.

    Args:
        setting: What all entrants share.
        prompt_blocks: Blocks with prompts.
        plain: Whether all speed-ups are off.
        dtype: What the frozen blocks compute in.
    """
    torch.manual_seed(0)
    backbone = VPTMBackbone(
        dict(
            type='BEiTPretrainViT',
            arch=setting.arch,
            img_size=setting.img_size,
        ),
        setting.prompt_length,
        prompt_blocks,
        speedups=() if plain else SPEEDUPS,
        dtype=dtype,
    )
    torch.manual_seed(1)
    state = {
        # Norms and layer scale near their values, all else around zero.
        name: torch.randn(tensor.shape) * 0.02
        + (1 if 'ln' in name and name.endswith('weight') else 0)
        + (0.1 if 'gamma' in name else 0)
        for name, tensor in backbone.frozen_state_dict().items()
    }
    backbone.load_state_dict(state, strict=False)
    if setting.prompt_length:
        torch.manual_seed(2)
        backbone.tuning.prompt_tokens.reset_parameters()
    return backbone.eval().to(setting.device)


def make_entrant(name: str, setting: Setting) -> Entrant:
    """Build one entrant by its name.

    Args:
        name: ``'mmpretrain'``, a peer, or one of the constants above, with
            ``SUFFIX`` behind it for frozen blocks in ``bfloat16``.
        setting: What all entrants share.
    """
    kind = name.removesuffix(SUFFIX)
    dtype = 'float32' if kind == name else 'bfloat16'
    torch_dtype = getattr(torch, dtype)
    if kind in (LATE, CACHED):
        depth = BEiTPretrainViT.arch_zoo[setting.arch]['num_layers']
        backbone = make_backbone(setting, (depth * 2 // 3,), dtype=dtype)
        prefix = backbone.run_prefix if kind == CACHED else None
        same_as = None if name == LATE else LATE
        return Entrant(backbone, same_as, prefix, torch_dtype)
    if kind in (OURS, COMPILED):
        backbone = make_backbone(setting, dtype=dtype)
        if kind == COMPILED:
            backbone.compile()
        return Entrant(backbone, dtype=torch_dtype)
    plain = make_backbone(setting, plain=True, dtype=dtype)
    peer = make_peer(kind, plain).eval().to(setting.device)
    return Entrant(peer, dtype=torch_dtype)
