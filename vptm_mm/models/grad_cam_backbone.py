"""The VPTM backbone as grad-CAM can read it.

Symbols: B batch; H, W rows and columns of patches, N = H * W of them;
C embedding width; S sequence length.
"""

from typing import Any

import torch
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from .flat_backbones import VPTMBackbone


@MODELS.register_module()
class GradCAMBackbone(VPTMBackbone):
    """A ``VPTMBackbone`` with its patches as a feature map, for grad-CAM.

    MMPretrain's ``vis_cam.py`` cuts leading tokens off a sequence and wants a
    square rest; here prompts and [MASK] follow the patches. So what that tool
    reads of a ViT by default, the output of the norm before the last
    attention, passes an identity on its way, patches only and as an image:
    ``--target-layers backbone.patch_map``. Results and state dict are those of
    ``VPTMBackbone``.

    Where nothing is tuned up to there, as without prompts, the patches are
    made to ask for the gradient.

    Args:
        *args: As in ``VPTMBackbone``.
        **kwargs: As in ``VPTMBackbone``.

    Shape:
        - ``patch_map``: ``(B, C, H, W)``
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.patch_map = nn.Identity()
        # A block that is computed again would pass the map twice.
        self.with_cp = False
        self.encoder.layers[-1].ln1.register_forward_hook(self._show_patches)

    def _show_patches(
        self, norm: nn.Module, args: Any, tokens: Tensor
    ) -> Tensor:
        where = self.sequence.patches
        before, patches, after = (
            tokens[:, : where.start],
            tokens[:, where],
            tokens[:, where.stop :],
        )
        if torch.is_grad_enabled() and not patches.requires_grad:
            patches = patches.detach().requires_grad_()
        grid = patches.unflatten(1, self.encoder.patch_resolution)
        grid = self.patch_map(grid.permute(0, 3, 1, 2))  # (B, C, H, W)
        patches = grid.flatten(2).transpose(1, 2)  # (B, N, C)
        return torch.cat([before, patches, after], dim=1)  # (B, S, C)
