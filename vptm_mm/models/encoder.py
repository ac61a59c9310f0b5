"""The frozen BEiT v2: its weights, its identity, the loop over its blocks.

Symbols: B batch; H, W rows and columns of patches, N = H * W of them;
M added masks; S sequence length; R tokens that are needed; C embedding width;
h heads.
"""

import warnings
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import cached_property, partial
from typing import Any

import torch
from mmcv.cnn.bricks import DropPath
from mmpretrain.models import BEiTViT
from mmpretrain.registry import MODELS
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..host import quiet_host
from ..nn import (
    Unfilled,
    require_int,
    require_list,
    tensors_sha256,
    without_derived,
)
from ..weights import read_pretrained
from ..weights.checkpoint_layouts import PREDICTOR
from ..weights.identity import (
    ENCODER_SETTINGS,
    FROZEN_SHA256,
    Identity,
    module_settings,
)
from ..weights.preprocessing import Preprocessing
from .attention import FusedAttention

# Ways to the same result in less time, each of which can be left out.
SPEEDUPS = ('fused_attention', 'lean_last_block')
# Names in earlier configs and task files, without effect now.
RETIRED = ('lean_first_block',)
DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16}


class BlockSteps:
    """Steps of a run before, in and after each block; these do nothing."""

    def enter(self, tokens: Tensor, block: int) -> Tensor:
        """Change the tokens that enter a block, ``(B, S, C)``."""
        return tokens

    def attention(self, own: nn.Module, block: int) -> Callable[..., Tensor]:
        """Return what is called in place of a block's own attention.

        It takes ``(tokens, rel_pos_bias=, queries=)``; the last one says
        which tokens are needed, where speed-ups allow it.
        """
        return own

    def branch(self, block: int) -> Callable[[Tensor], Tensor] | None:
        """Return a function of the input of the MLP, to be added to it."""
        return None

    def leave(self, tokens: Tensor, before: Tensor, block: int) -> Tensor:
        """Change the tokens that leave a block; ``before`` entered it."""
        return tokens


NOTHING = BlockSteps()


class FrozenEncoder(nn.Module):
    """A BEiT v2 that is pre-trained, frozen, and stays so.

    Holds the parts of MMPretrain's encoder under their names, reads their
    weights strictly when it is built, stays in ``eval()`` while nothing of it
    is trained, and refuses to run without weights. ``run`` is the one loop
    over its blocks.

    Args:
        encoder: Config of MMPretrain's ``BEiTPretrainViT``, or of ``BEiTViT``
            with a shared relative position bias.
        num_visual_tokens: Outputs of the token predictor of the pre-training;
            None to do without it.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)``, or None if
            ``load_state_dict`` brings the weights.
        speedups: Which of ``SPEEDUPS`` are on: ``'fused_attention'`` in place
            of the host's explicit softmax; ``'lean_last_block'``, which
            computes the states that are read and no others. Results differ
            by rounding only.
        dtype: What the tensors are stored and computed in: ``'float32'``, or
            ``'bfloat16'``. Their ``float32`` values stay in the memory of the
            CPU then, for digests and checkpoints.

    Shape:
        - Input: ``(B, in_channels, img_size, img_size)``
        - Output: ``(B, 1 + N, C)``

    Raises:
        ValueError: If the encoder is not a BEiT v2, an image has another
            shape than it expects, or an option is out of range.
        TypeError: If ``encoder`` is not a dict, or ``speedups`` not a list.
        RuntimeError: If it runs without pre-trained weights.
    """

    def __init__(
        self,
        encoder: dict,
        num_visual_tokens: int | None = None,
        init_cfg: dict | None = None,
        speedups: Iterable[str] = SPEEDUPS,
        dtype: str = 'float32',
    ) -> None:
        super().__init__()
        if dtype not in (*DTYPES,):
            raise ValueError(f'dtype={dtype!r} must be one of {(*DTYPES,)}.')
        if num_visual_tokens is not None:
            hint = ', or None to do without a token predictor'
            require_int('num_visual_tokens', num_visual_tokens, 1, hint=hint)
        speedups = require_list('speedups', speedups)
        unknown = [s for s in speedups if s not in (*SPEEDUPS, *RETIRED)]
        if unknown:
            raise ValueError(
                f'speedups={speedups} holds {unknown}; allowed are '
                f'{SPEEDUPS}, or () for none.'
            )
        self.speedups = tuple(s for s in speedups if s in SPEEDUPS)
        # A file fills all of it, or fails.
        with nullcontext() if init_cfg is None else Unfilled():
            host = _build_host(encoder)
        self.embed_dims: int = host.embed_dims
        self.num_layers: int = host.num_layers
        self.img_size: tuple[int, int] = host.img_size
        self.patch_resolution: tuple[int, int] = host.patch_resolution
        self.cls_token = host.cls_token
        self.mask_token = host.mask_token
        self.patch_embed = host.patch_embed
        self.drop_after_pos = host.drop_after_pos
        self.rel_pos_bias = host.rel_pos_bias
        self.layers = host.layers
        self.ln1 = host.ln1
        if 'fused_attention' in self.speedups:
            for layer in self.layers:
                FusedAttention.replace(layer.attn)
        self.token_predictor = (
            nn.Linear(self.embed_dims, num_visual_tokens)
            if num_visual_tokens is not None
            else None
        )
        # How images were normalised in pre-training; None if nobody knows.
        self.trained_with: Preprocessing | None = None
        # Digests of the tensors that were read, with and without predictor.
        self._sha256: dict[bool, str] = {}
        # Values of the tensors before they were rounded, by name.
        self._unrounded: dict[str, Tensor] = {}
        self.requires_grad_(False)
        if dtype != 'float32':
            self._unrounded = {
                name: tensor.clone()
                for name, tensor in self._own_state().items()
            }
            self.to(DTYPES[dtype])
        if init_cfg is not None:
            self._load_pretrained(init_cfg)
        self.eval()

    # The host's, of which it asks no more than ``num_layers``.
    get_layer_depth = BEiTViT.get_layer_depth

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of an image."""
        return (self.patch_embed.projection.in_channels, *self.img_size)

    @property
    def is_pretrained(self) -> bool:
        """Whether pre-trained tensors were read."""
        return bool(self._sha256)

    @property
    def is_frozen(self) -> bool:
        """Whether none of its tensors is trained."""
        return not any(p.requires_grad for p in self.parameters())

    @property
    def identity(self) -> Identity | None:
        """Digest and settings by which tasks are compared, with the predictor.

        None without pre-trained tensors, or where some are trained: they
        change.
        """
        return self.identity_with(predictor=True)

    def identity_with(self, predictor: bool) -> Identity | None:
        """Return the identity with or without the token predictor."""
        if not self.is_pretrained or not self.is_frozen:
            return None
        predictor = predictor or self.token_predictor is None
        if predictor not in self._sha256:
            self._sha256[predictor] = _digest(
                {
                    name: tensor
                    for name, tensor in self._own_state().items()
                    if predictor or not name.startswith(PREDICTOR)
                }
            )
        return Identity(self._sha256[predictor], self._settings)

    @cached_property
    def _settings(self) -> dict[str, str]:
        return module_settings(self)

    @property
    def position_table(self) -> Tensor:
        """The shared table of the position bias, a column for each head."""
        return self.rel_pos_bias.relative_position_bias_table

    def train(self, mode: bool = True) -> 'FrozenEncoder':
        """Set the mode of an encoder that is trained; else stay in eval."""
        return super().train(mode and not self.is_frozen)

    def embed(
        self, images: Tensor, mask: Tensor | None = None, num_masks: int = 0
    ) -> Tensor:
        """Turn images into [CLS], patches and [MASK]s.

        Args:
            images: ``(B, in_channels, img_size, img_size)``.
            mask: 1 where [MASK] replaces a patch, ``(B, H, W)``.
            num_masks: [MASK]s M that are added behind the patches.

        Returns:
            ``(B, 1 + N + M, C)``.
        """
        self._check_images(images)
        images = images.to(self.cls_token.dtype)
        patches, _ = self.patch_embed(images)  # (B, N, C)
        if mask is not None:
            patches = torch.where(
                mask.flatten(1).bool()[..., None],
                self.mask_token.to(patches.dtype),
                patches,
            )
        cls_token = self.cls_token.expand(images.size(0), -1, -1)
        tokens = self.drop_after_pos(torch.cat([cls_token, patches], dim=1))
        if not num_masks:
            return tokens
        mask_tokens = self.mask_token.expand(images.size(0), num_masks, -1)
        return torch.cat([tokens, mask_tokens], dim=1)

    def run(
        self,
        tokens: Tensor,
        bias: Tensor | Callable[[int], Tensor],
        blocks: Iterable[int] | None = None,
        needed: slice | None = None,
        steps: BlockSteps = NOTHING,
        with_cp: bool = False,
    ) -> Tensor:
        """Run blocks of the encoder, one after the other.

        Args:
            tokens: ``(B, S, C)``.
            bias: The position bias, ``(h, S, S)`` or ``(B, h, S, S)``; or a
                function that returns it for a block, after
                ``steps.enter``.
            blocks: Indices of the blocks; None for all.
            needed: The only tokens whose states are returned after the last
                block; None for all.
            steps: What else is done at each block.
            with_cp: Whether to keep the inputs of blocks only, and to compute
                a block again for its gradient.

        Returns:
            ``(B, S, C)``, or ``(B, R, C)`` after the last block.
        """
        for block in range(self.num_layers) if blocks is None else blocks:
            before = steps.enter(tokens, block)  # (B, S, C)
            run_block: Callable[..., Tensor] = self._run_block
            if with_cp and before.requires_grad:
                run_block = partial(
                    checkpoint, self._run_block, use_reentrant=False
                )
            is_last = block == self.num_layers - 1
            tokens = run_block(
                before,
                bias(block) if callable(bias) else bias,
                block,
                needed if is_last else None,
                steps,
            )
            tokens = steps.leave(tokens, before, block)
        return tokens

    def _run_block(
        self,
        tokens: Tensor,
        bias: Tensor,
        block: int,
        needed: slice | None,
        steps: BlockSteps,
    ) -> Tensor:
        layer = self.layers[block]
        attention = steps.attention(layer.attn, block)
        branch = steps.branch(block)
        is_lean = needed is not None and 'lean_last_block' in self.speedups
        if attention is layer.attn and branch is None and not is_lean:
            # As a whole, so that hooks on a block see it.
            tokens = layer(tokens, rel_pos_bias=bias)
            return tokens if needed is None else tokens[:, needed]
        how: dict[str, Any] = {}
        if is_lean and isinstance(layer.attn, FusedAttention):
            how = dict(queries=needed)
        attended = attention(layer.ln1(tokens), rel_pos_bias=bias, **how)
        if is_lean:
            tokens = tokens[:, needed]
            attended = attended if how else attended[:, needed]
        tokens = tokens + layer.drop_path(_scale(layer.gamma_1, attended))
        normed = layer.ln2(tokens)
        changed = layer.drop_path(_scale(layer.gamma_2, layer.ffn(normed)))
        if branch is not None:
            changed = changed + branch(normed).to(changed.dtype)
        tokens = tokens + changed
        return tokens if needed is None or is_lean else tokens[:, needed]

    def forward(self, images: Tensor, mask: Tensor | None = None) -> Tensor:
        """Run all blocks and the final norm with nothing added.

        With a mask this is the pre-training task: [MASK] *replaces* patches.
        """
        tokens = self.run(self.embed(images, mask), self.rel_pos_bias())
        return self.ln1(tokens)  # (B, 1 + N, C)

    def state_dict(  # type: ignore[override]
        self, *args: Any, prefix: str = '', **kwargs: Any
    ) -> dict[str, Tensor]:
        """As in torch; tensors are ``float32``, as they were read."""
        state = super().state_dict(*args, prefix=prefix, **kwargs)
        for name, tensor in self._unrounded.items():
            state[prefix + name] = tensor
        return state

    def _own_state(self) -> dict[str, Tensor]:
        return without_derived(self.state_dict())

    def _load_pretrained(self, init_cfg: Any) -> None:
        if (
            not isinstance(init_cfg, dict)
            or init_cfg.get('type') != 'Pretrained'
            or set(init_cfg) != {'type', 'checkpoint'}
        ):
            raise ValueError(
                f'init_cfg={init_cfg!r} must be '
                "dict(type='Pretrained', checkpoint=...): a frozen backbone "
                'is of use only with pre-trained weights.'
            )
        wanted = {checkpoint_name(k): v for k, v in self._own_state().items()}
        weights = read_pretrained(init_cfg['checkpoint'], wanted)
        self.trained_with = weights.trained_with
        # What is not in the file is derived.
        self.load_state_dict(
            {
                name: weights.tensors[checkpoint_name(name)]
                for name in self._own_state()
            },
            strict=False,
        )

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, *args: Any
    ) -> None:
        # Parents, mmengine's runner among them, load with strict=False; here
        # a state brings all tensors, or none, or the identity of the encoder
        # that something was tuned on.
        sha256 = state_dict.pop(prefix + FROZEN_SHA256, None)
        settings = state_dict.pop(prefix + ENCODER_SETTINGS, None)
        if sha256 is not None:
            self.require(Identity.from_tensors(sha256, settings))
            state_dict.update(super().state_dict(prefix=prefix))
            super()._load_from_state_dict(state_dict, prefix, *args)
            return
        own = self._own_state()
        brought = {
            name: state_dict[prefix + name].to(tensor.dtype)
            for name, tensor in own.items()
            if prefix + name in state_dict
            and state_dict[prefix + name].shape == tensor.shape
        }
        if len(brought) == len(own):
            self._sha256 = {True: _digest(brought)}
            if self._unrounded:
                self._unrounded = {
                    name: tensor.detach().cpu().clone()
                    for name, tensor in brought.items()
                }
        elif brought:
            missing = sorted(map(checkpoint_name, set(own) - set(brought)))
            raise ValueError(
                f'a state dict fits {len(brought)} of {len(own)} frozen '
                f'tensors; two backbones must not be mixed. Missing or of '
                f'another shape: {missing[:10]}.'
            )
        super()._load_from_state_dict(state_dict, prefix, *args)

    def require(self, wanted: Identity) -> None:
        """Compare the encoder with the one that a task was tuned on."""
        if self.identity is None:
            raise ValueError(
                'the encoder has no pre-trained weights, or tunes them, and a '
                f'task was tuned on frozen ones (sha256 {wanted.sha256}); set '
                "init_cfg=dict(type='Pretrained', checkpoint=...) to these, "
                'and take the config that it was tuned with.'
            )
        self.identity.require(wanted)

    def _check_images(self, images: Tensor) -> None:
        if not self.is_pretrained:
            raise RuntimeError(
                'the encoder has no pre-trained weights; set init_cfg=dict('
                "type='Pretrained', checkpoint=...), or load a checkpoint "
                'that holds the frozen tensors.'
            )
        if images.ndim != 4 or images.shape[1:] != self.input_shape:
            raise ValueError(
                f'input of shape {tuple(images.shape)} must be (B, '
                f'{", ".join(map(str, self.input_shape))}); resize or crop '
                'the images in the pipeline, or set img_size and in_channels '
                'of the encoder.'
            )


def checkpoint_name(name: str) -> str:
    """Return the name of a tensor of the encoder in checkpoints and digests.

    The token predictor stands beside the encoder there.
    """
    return name if name.startswith(PREDICTOR) else f'encoder.{name}'


def _digest(tensors: dict[str, Tensor]) -> str:
    return tensors_sha256({checkpoint_name(k): v for k, v in tensors.items()})


def _scale(gamma: Tensor | None, states: Tensor) -> Tensor:
    return states if gamma is None else gamma * states


def _build_host(cfg: dict) -> BEiTViT:
    """Build the host's BEiT with what VPTM reads: final norm and [MASK]."""
    if not isinstance(cfg, dict):
        raise TypeError(
            f"encoder={cfg!r} must be a dict, as dict(type='BEiTPretrainViT', "
            "arch='base')."
        )
    name = cfg.get('type')
    cls = MODELS.get(name) if isinstance(name, str) else name
    if not (isinstance(cls, type) and issubclass(cls, BEiTViT)):
        raise ValueError(
            f'encoder.type={name!r} must be BEiTPretrainViT or BEiTViT.'
        )
    # The class, not its name: a run of another package has another scope. The
    # final norm stands in the neck in pre-training; [MASK] is read behind it.
    with warnings.catch_warnings():
        quiet_host()
        host = MODELS.build(
            {**cfg, 'type': cls, 'final_norm': True, 'out_type': 'raw'}
        )
    if host.rel_pos_bias is None or host.pos_embed is not None:
        raise ValueError(
            'the encoder must have a shared relative position bias and no '
            'absolute position embedding, as BEiT v2; set '
            'use_shared_rel_pos_bias=True, use_rel_pos_bias=False, '
            'use_abs_pos_emb=False.'
        )
    rows, columns = host.patch_resolution
    if rows != columns or host.img_size[0] != host.img_size[1]:
        raise ValueError(
            f'encoder.img_size={host.img_size} and its {rows}x{columns} '
            'patches must be square.'
        )
    if not hasattr(host, 'mask_token'):
        host.mask_token = nn.Parameter(torch.zeros(1, 1, host.embed_dims))
    for module in host.modules():
        if isinstance(module, DropPath):
            # The host leaves a numpy scalar, which breaks compiled graphs.
            module.drop_prob = float(module.drop_prob)
    return host
