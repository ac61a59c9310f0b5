"""What every backbone on a frozen BEiT v2 shares.

Symbols: B batch; H, W rows and columns of patches, N = H * W of them;
S sequence length; C embedding width; D blocks.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from mmcv.cnn.bricks import DropPath
from mmpretrain.models import BEiTViT
from mmpretrain.models.backbones.base_backbone import BaseBackbone
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from ...nn import (
    PromptTokens,
    Unfilled,
    compare_settings,
    compare_states,
    freeze,
    module_settings,
    tensors_sha256,
    without_derived,
)
from ...weights.preprocessing import Preprocessing
from ...weights.pretrained import read_pretrained
from ..attention import FusedAttention
from .encoder_block import run_block

# Ways to the same result in less time, each of which can be left out.
SPEEDUPS = ('fused_attention', 'lean_first_block', 'lean_last_block')
DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16}


class FrozenBEiT(BaseBackbone):
    """A BEiT v2 that is pre-trained, frozen, and stays so.

    Holds MMPretrain's encoder as it is, reads its weights strictly when it is
    built, keeps it in ``eval()`` and refuses to run without weights.
    Subclasses say what they read from it, and add what they tune.

    Args:
        encoder: Config of MMPretrain's ``BEiTPretrainViT``, or of ``BEiTViT``
            with a shared relative position bias.
        num_visual_tokens: Outputs of the token predictor of the pre-training;
            None to do without it.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)``, or None if
            ``load_state_dict`` brings the weights. Subclasses pass it on to
            ``_load_pretrained`` when they are complete.
        speedups: Which of ``SPEEDUPS`` are on: ``'fused_attention'`` in place
            of the host's explicit softmax; ``'lean_first_block'``, which
            needs it, and computes no gradient of the projections of tokens
            that nothing tuned has reached; ``'lean_last_block'``, which
            computes the states that are read and no others. Results differ
            by rounding only.
        dtype: What the frozen tensors are stored and computed in:
            ``'float32'``, or ``'bfloat16'``. Their ``float32`` values stay in
            the memory of the CPU then, for digests and checkpoints.

    Raises:
        ValueError: If the encoder is no BEiT v2, an image has another shape
            than it expects, or a speed-up or ``dtype`` is unknown.
        TypeError: If ``encoder`` is no dict.
        RuntimeError: If it runs without pre-trained weights.
    """

    def __init__(
        self,
        encoder: dict,
        num_visual_tokens: int | None,
        init_cfg: Any,
        speedups: Iterable[str] = SPEEDUPS,
        dtype: str = 'float32',
    ) -> None:
        super().__init__(init_cfg)
        if dtype not in (*DTYPES,):
            raise ValueError(f'dtype={dtype!r} must be one of {(*DTYPES,)}.')
        self.speedups = _check_speedups(speedups)
        # _load_pretrained fills all of it, or fails.
        with nullcontext() if init_cfg is None else Unfilled():
            self.encoder = _build_encoder(encoder)
        if 'fused_attention' in self.speedups:
            for layer in self.encoder.layers:
                FusedAttention.replace(layer.attn)
        self.token_predictor = (
            nn.Linear(self.encoder.embed_dims, num_visual_tokens)
            if num_visual_tokens is not None
            else None
        )
        # Digest of the tensors that were read; None until they were.
        self._read_sha256: str | None = None
        # How images were normalised in pre-training; None if nobody knows.
        self.trained_with: Preprocessing | None = None
        # Values of the frozen tensors before they were rounded, by name.
        self._unrounded: dict[str, Tensor] = {}
        if dtype != 'float32':
            self._unrounded = {
                name: tensor.clone()
                for name, tensor in self.frozen_state_dict().items()
            }
        for module in self._frozen_modules():
            freeze(module.to(DTYPES[dtype]))

    @property
    def frozen_children(self) -> tuple[str, ...]:
        """Names of the sub-modules that are frozen."""
        if self.token_predictor is None:
            return ('encoder',)
        return ('encoder', 'token_predictor')

    @property
    def is_pretrained(self) -> bool:
        """Whether pre-trained tensors were read."""
        return self._read_sha256 is not None

    @property
    def frozen_sha256(self) -> str | None:
        """Digest of the frozen tensors; None without pre-trained ones.

        Also None where some of them are trained: they change.
        """
        return self._read_sha256 if self.is_frozen else None

    @property
    def is_frozen(self) -> bool:
        """Whether nothing that was pre-trained is tuned."""
        return not any(
            parameter.requires_grad
            for module in self._frozen_modules()
            for parameter in module.parameters()
        )

    @property
    def prefix_depth(self) -> int:
        """Blocks, from the first on, that nothing tuned reaches: 0 to D."""
        return 0

    def _frozen_modules(self) -> list[nn.Module]:
        return [getattr(self, name) for name in self.frozen_children]

    def _is_frozen(self, name: str) -> bool:
        return name.partition('.')[0] in self.frozen_children

    def state_dict(
        self, *args: Any, prefix: str = '', **kwargs: Any
    ) -> dict[str, Tensor]:
        """As in torch; frozen tensors are ``float32``, as they were read."""
        state = super().state_dict(*args, prefix=prefix, **kwargs)
        for name, tensor in self._unrounded.items():
            state[prefix + name] = tensor
        return state

    def frozen_state_dict(self) -> dict[str, Tensor]:
        """Return every frozen tensor by name, without derived buffers."""
        return {
            name: tensor
            for name, tensor in without_derived(self.state_dict()).items()
            if self._is_frozen(name)
        }

    def _load_pretrained(self, init_cfg: Any) -> None:
        if init_cfg is None:
            return
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
        tensors, self.trained_with = read_pretrained(
            init_cfg['checkpoint'], self.frozen_state_dict()
        )
        # What is not in the file is tuned, or derived.
        self.load_state_dict(tensors, strict=False)

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, *args: Any
    ) -> None:
        # Parents, mmengine's runner among them, load with strict=False; here
        # a state brings all frozen tensors, or none, or the digest of those
        # that it was tuned on, with the settings of their encoder; slim
        # checkpoints of earlier versions have no settings.
        wanted = state_dict.pop(prefix + 'frozen_sha256', None)
        settings = state_dict.pop(prefix + 'encoder_settings', None)
        if wanted is not None:
            self._require_frozen(_hexadecimal(wanted))
            if settings is not None:
                self.require_settings(_settings(settings))
            self._require_tuned(state_dict, prefix)
            state_dict.update(
                {
                    prefix + name: tensor
                    for name, tensor in self.state_dict().items()
                    if self._is_frozen(name)
                }
            )
            super()._load_from_state_dict(state_dict, prefix, *args)
            return
        frozen = self.frozen_state_dict()
        brought = {
            name: state_dict[prefix + name].to(tensor.dtype)
            for name, tensor in frozen.items()
            if prefix + name in state_dict
            and state_dict[prefix + name].shape == tensor.shape
        }
        if len(brought) == len(frozen):
            self._read_sha256 = tensors_sha256(brought)
            if self._unrounded:
                self._unrounded = {
                    name: tensor.detach().cpu().clone()
                    for name, tensor in brought.items()
                }
        elif brought:
            missing = sorted(set(frozen) - set(brought))
            raise ValueError(
                f'a state dict fits {len(brought)} of {len(frozen)} frozen '
                f'tensors; two backbones must not be mixed. Missing or of '
                f'another shape: {missing[:10]}.'
            )
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _require_frozen(self, wanted: str) -> None:
        if self.frozen_sha256 is None:
            raise RuntimeError(
                f'{type(self).__name__} has no pre-trained weights, and a '
                'task brings none; set init_cfg=dict(type='
                "'Pretrained', checkpoint=...) to those that it was tuned on."
            )
        if wanted != self.frozen_sha256:
            raise ValueError(
                f'the task was tuned on frozen tensors of sha256 {wanted}, '
                f'and these have {self.frozen_sha256}; set '
                'model.backbone.init_cfg.checkpoint to the file that it was '
                'tuned on, or tune it again.'
            )

    def require_settings(self, wanted: Mapping[str, str]) -> None:
        """Compare the settings of the encoder with those of a task.

        Tensors do not show them, as the activation.

        Args:
            wanted: ``module_settings`` of the encoder of the task.

        Raises:
            ValueError: If they differ.
        """
        difference = compare_settings(wanted, module_settings(self.encoder))
        if difference:
            raise ValueError(
                'the task was tuned on an encoder of another configuration '
                f'(task / here):\n  {difference}\nSet model.backbone.encoder '
                'to the one that it was tuned on, or tune it again.'
            )

    def _require_tuned(self, state_dict: dict, prefix: str) -> None:
        difference = compare_states(
            {
                k: v
                for k, v in self.state_dict().items()
                if not self._is_frozen(k)
            },
            {
                k.removeprefix(prefix): v
                for k, v in state_dict.items()
                if k.startswith(prefix)
            },
        )
        if difference:
            raise ValueError(
                f'the task does not fit {type(self).__name__} (- missing, '
                f'+ unexpected, ! wrong):\n  {difference}\nUse the config '
                'that it was trained with.'
            )

    def init_weights(self) -> None:
        """Keep the weights that were read when the backbone was built.

        Raises:
            RuntimeError: If somebody changed them. The host calls this after
                a parent's ``init_cfg`` has initialised all sub-modules.
        """
        rounded = super().state_dict()
        if self.is_pretrained and (
            tensors_sha256(self.frozen_state_dict()) != self._read_sha256
            or not all(
                torch.equal(
                    rounded[name].cpu(), tensor.to(rounded[name].dtype).cpu()
                )
                for name, tensor in self._unrounded.items()
            )
        ):
            raise RuntimeError(
                'the pre-trained weights were changed after they were read: '
                'an init_cfg of the whole model initialises the backbone, '
                "too. Remove model.init_cfg; give the head's part to "
                'model.head.init_cfg.'
            )

    def train(self, mode: bool = True) -> 'FrozenBEiT':
        """Set the mode of what is tuned; the frozen part stays in eval."""
        super().train(mode)
        for module in self._frozen_modules():
            module.eval()
        return self

    def _embed(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Turn images into [CLS] and patches, masked ones into [MASK]."""
        self._check_input(x)
        x = x.to(self.encoder.cls_token.dtype)
        patches, _ = self.encoder.patch_embed(x)  # (B, N, C)
        if mask is not None:
            patches = torch.where(
                mask.flatten(1).bool()[..., None],
                self.encoder.mask_token.to(patches.dtype),
                patches,
            )
        cls_token = self.encoder.cls_token.expand(x.size(0), -1, -1)
        tokens = torch.cat([cls_token, patches], dim=1)  # (B, 1 + N, C)
        return self.encoder.drop_after_pos(tokens)

    def run_prefix(self, x: Tensor) -> Tensor:
        """Run the blocks that nothing tuned reaches.

        Training does not change what comes out, so it can be kept.

        Args:
            x: Images, ``(B, in_channels, img_size, img_size)``.

        Returns:
            States, ``(B, S, C)``, which ``forward`` takes in place of images.
        """
        tokens = self._plain_tokens(x)
        if not self.prefix_depth:
            return tokens
        bias = self._plain_bias()
        for layer in list(self.encoder.layers)[: self.prefix_depth]:
            tokens = run_block(layer, tokens, bias, self._read(layer))
        return tokens

    def _prefix_of(self, x: Tensor) -> Tensor:
        """Run the prefix on images; states have passed it."""
        are_states = x.ndim == 3 and x.size(2) == self.encoder.embed_dims
        if are_states and self.prefix_depth:
            return x.to(self.encoder.cls_token.dtype)
        return self.run_prefix(x)

    def _plain_tokens(self, x: Tensor) -> Tensor:
        """Turn images into what enters the first block."""
        return self._embed(x)

    def _plain_bias(self) -> Tensor:
        """Position bias before anything tuned is added."""
        return self.encoder.rel_pos_bias()

    def _read(self, layer: nn.Module) -> slice | None:
        """What a block must compute; None for all tokens."""
        return None

    def _encode(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Run all blocks and the final norm, with nothing added."""
        tokens = self._run_blocks(self._embed(x, mask))
        return self.encoder.norm1(tokens)  # (B, 1 + N, C)

    def _run_blocks(self, tokens: Tensor) -> Tensor:
        """Run all blocks on [CLS] and patches, with nothing added."""
        bias = self.encoder.rel_pos_bias()
        for layer in self.encoder.layers:
            tokens = layer(tokens, rel_pos_bias=bias)
        return tokens

    def _read_in(self, layer: nn.Module, wanted: slice | None) -> slice | None:
        """What a block must compute: in the last one, what is wanted."""
        is_last = layer is self.encoder.layers[-1]
        lean = 'lean_last_block' in self.speedups
        return wanted if is_last and lean else None

    def _tuned_in(self, tokens: Tensor, prompts: slice) -> slice | None:
        """What needs a gradient where prompts join tokens; None for all."""
        lean = (
            'lean_first_block' in self.speedups
            and torch.is_grad_enabled()
            and not tokens.requires_grad
            # Else weights have a gradient that comes from all tokens.
            and self.is_frozen
        )
        return prompts if lean else None

    def predict_masked_patches(self, x: Tensor, mask: Tensor) -> Tensor:
        """Run the pre-training task: [MASK] *replaces* patches.

        A sanity check of loaded weights; ``token_predictor`` turns the states
        into logits of visual tokens.

        Args:
            x: Images, ``(B, in_channels, img_size, img_size)``.
            mask: 1 where a patch is replaced, ``(B, H, W)``.

        Returns:
            States of all patches after the final norm, ``(B, N, C)``.
        """
        return self._encode(x, mask)[:, 1:]

    def _build_prompts(
        self, length: int, blocks: Iterable[int]
    ) -> PromptTokens:
        """Build prompts for blocks that the encoder has."""
        if not _is_list(blocks):
            raise TypeError(
                f'prompt_blocks={blocks!r} must list blocks, as in '
                f'({blocks},).'
            )
        blocks = tuple(blocks)
        prompts = PromptTokens(self.encoder.embed_dims, length, blocks)
        depth = len(self.encoder.layers)
        if length and max(blocks) >= depth:
            raise ValueError(
                f'prompt_blocks={blocks} must be in 0..{depth - 1}: '
                f'the encoder has {depth} blocks.'
            )
        return prompts

    def _check_input(self, x: Tensor) -> None:
        if not self.is_pretrained:
            raise RuntimeError(
                f'{type(self).__name__} has no pre-trained weights; set '
                "init_cfg=dict(type='Pretrained', checkpoint=...), or load a "
                'checkpoint that holds the frozen tensors.'
            )
        channels = self.encoder.patch_embed.projection.in_channels
        expected = (channels, *self.encoder.img_size)
        if x.ndim != 4 or tuple(x.shape[1:]) != expected:
            raise ValueError(
                f'input of shape {tuple(x.shape)} must be (B, '
                f'{", ".join(map(str, expected))}); resize or crop the images '
                'in the pipeline, or set img_size and in_channels of the '
                'encoder.'
            )


def _is_list(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, (str, dict))


def _check_speedups(speedups: Any) -> tuple[str, ...]:
    names = tuple(speedups) if _is_list(speedups) else (speedups,)
    unknown = [name for name in names if name not in SPEEDUPS]
    if unknown:
        raise ValueError(
            f'speedups={names} holds {unknown}; allowed are {SPEEDUPS}, '
            'or () for none.'
        )
    return names


def _hexadecimal(digest: Tensor) -> str:
    if digest.dtype != torch.uint8 or digest.shape != (32,):
        raise ValueError(
            f'frozen_sha256 of shape {tuple(digest.shape)} and {digest.dtype} '
            'must be the 32 bytes of a sha256; get the file again.'
        )
    return bytes(digest.tolist()).hex()


def _settings(content: Tensor) -> dict[str, str]:
    try:
        settings = json.loads(bytes(content.tolist()))
    except (TypeError, ValueError):
        settings = None
    if not isinstance(settings, dict):
        raise ValueError(
            f'encoder_settings of shape {tuple(content.shape)} and '
            f'{content.dtype} must be a JSON object in bytes; download the '
            'file again.'
        )
    return settings


def _build_encoder(cfg: dict) -> BEiTViT:
    """Build the host's BEiT with what VPTM reads: final norm and [MASK]."""
    if not isinstance(cfg, dict):
        raise TypeError(
            f"encoder={cfg!r} must be a dict, as dict(type='BEiTPretrainViT', "
            "arch='base')."
        )
    if not cfg.get('final_norm', True):
        raise ValueError(
            'encoder.final_norm=False: [MASK] is read after the final norm of '
            'the pre-training; remove the key.'
        )
    name = cfg.get('type')
    cls = MODELS.get(name) if isinstance(name, str) else name
    if not (isinstance(cls, type) and issubclass(cls, BEiTViT)):
        raise ValueError(
            f'encoder.type={name!r} must be BEiTPretrainViT or BEiTViT.'
        )
    if cfg.get('init_cfg') is not None:
        raise ValueError(
            f'encoder.init_cfg={cfg["init_cfg"]!r} would be ignored; set '
            'init_cfg of the backbone around it.'
        )
    # The class, not its name: a run of another package has another scope.
    encoder = MODELS.build(
        {'out_type': 'raw', **cfg, 'type': cls, 'final_norm': True}
    )
    if encoder.rel_pos_bias is None or encoder.pos_embed is not None:
        raise ValueError(
            'the encoder must have a shared relative position bias and no '
            'absolute position embedding, as BEiT v2; set '
            'use_shared_rel_pos_bias=True, use_rel_pos_bias=False, '
            'use_abs_pos_emb=False.'
        )
    rows, columns = encoder.patch_resolution
    if rows != columns or encoder.img_size[0] != encoder.img_size[1]:
        raise ValueError(
            f'encoder.img_size={encoder.img_size} and its {rows}x{columns} '
            'patches must be square.'
        )
    if not hasattr(encoder, 'mask_token'):
        encoder.mask_token = nn.Parameter(
            torch.zeros(1, 1, encoder.embed_dims)
        )
    for module in encoder.modules():
        if isinstance(module, DropPath):
            # The host leaves a numpy scalar, which breaks compiled graphs.
            module.drop_prob = float(module.drop_prob)
    return encoder
