"""A frozen BEiT v2, what is tuned in it, and what is read from it.

Symbols: B batch; S sequence length; C embedding width.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

import torch
from mmpretrain.models.backbones.base_backbone import BaseBackbone
from mmpretrain.registry import MODELS
from torch import Tensor

from ..nn import (
    TokenSequence,
    part_of,
    require_same_state,
    without_derived,
)
from ..weights.checkpoint_layouts import PREDICTOR
from ..weights.identity import ENCODER_SETTINGS, FROZEN_SHA256, Identity
from ..weights.preprocessing import Preprocessing
from .encoder import SPEEDUPS, FrozenEncoder
from .readouts import Readout
from .tunings import Tuning

Part = TypeVar('Part', Tuning, Readout)


@MODELS.register_module()
class AdaptedBackbone(BaseBackbone):
    """A frozen BEiT v2 with any tuning and any readout.

    Pre-trained weights are read when the backbone is built, strictly; without
    them it refuses to run. Checkpoints and task files name what is tuned, the
    encoder and its token predictor side by side.

    Args:
        encoder: Config of MMPretrain's ``BEiTPretrainViT``, or of ``BEiTViT``
            with a shared relative position bias; or one that is built.
        readout: Config of a ``Readout``.
        tuning: Config of a ``Tuning``; None to learn nothing.
        num_visual_tokens: Visual tokens of the token predictor; None to do
            without it.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)``: a path, a
            ``file://``, ``http(s)://`` or ``vptm_mm://`` address. None if
            ``load_state_dict`` brings the weights.
        speedups: As in ``FrozenEncoder``; all are on by default, ``()`` is
            the host's plain computation.
        dtype: As in ``FrozenEncoder``; what is tuned and what comes out stay
            ``float32``.
        with_cp: Whether training keeps the input of each tuned block only,
            and computes the block again for its gradient.

    Shape:
        - Input: ``(B, in_channels, img_size, img_size)``, or the states of
          ``run_prefix``
        - Output: a tuple of one tensor, as the readout returns it

    Raises:
        ValueError: If an option is out of range, the encoder or the
            checkpoint does not fit, or an image has another shape.
        FileNotFoundError: If the checkpoint is not there.
        TypeError: If ``encoder``, ``tuning`` or ``readout`` is not a dict.
        RuntimeError: If it runs without pre-trained weights.

    Example:
        >>> backbone = AdaptedBackbone(
        ...     encoder=dict(type='BEiTPretrainViT', arch='base'),
        ...     tuning=dict(type='LoRATuning', rank=4),
        ...     readout=dict(type='MaskReadout', mask_grid=2),
        ...     init_cfg=dict(type='Pretrained', checkpoint='beitv2.pth'),
        ... )
        >>> (hidden,) = backbone(torch.rand(2, 3, 224, 224))
        >>> hidden.shape
        torch.Size([2, 3072])
    """

    # What stands at the start of names of frozen tensors in checkpoints.
    frozen_children = ('encoder', 'token_predictor')

    def __init__(
        self,
        encoder: dict | FrozenEncoder,
        readout: dict,
        tuning: dict | None = None,
        num_visual_tokens: int | None = None,
        init_cfg: dict | None = None,
        speedups: Iterable[str] = SPEEDUPS,
        dtype: str = 'float32',
        with_cp: bool = False,
    ) -> None:
        super().__init__(init_cfg)
        if not isinstance(with_cp, bool):
            raise ValueError(f'with_cp={with_cp!r} must be True or False.')
        self.with_cp = with_cp
        if not isinstance(encoder, FrozenEncoder):
            encoder = FrozenEncoder(
                encoder, num_visual_tokens, init_cfg, speedups, dtype
            )
        self.encoder = encoder
        self.readout = _build('readout', Readout, readout, self.encoder)
        self.tuning = _build(
            'tuning',
            Tuning,
            dict(type=Tuning) if tuning is None else tuning,
            self.encoder,
            self.readout.mask_layout,
        )
        self._needed = self.readout.needed(self.sequence)
        self._require_reached()

    def _require_reached(self) -> None:
        blocks = self.tuning.prompt_tokens.blocks
        count = self.readout.num_blocks
        if blocks and max(blocks) >= count:
            raise ValueError(
                f'prompt_blocks={blocks} must be below {count}: those behind '
                f'what {type(self.readout).__name__} reads are not run.'
            )

    @property
    def sequence(self) -> TokenSequence:
        """The order of the tokens, and their position bias."""
        return self.tuning.sequence

    @property
    def out_channels(self) -> int:
        """Width of the output: the ``in_channels`` of a head."""
        return self.readout.out_channels

    @property
    def prefix_depth(self) -> int:
        """Blocks, from the first on, that nothing tuned reaches."""
        return min(self.tuning.prefix_depth, self.readout.num_blocks)

    @property
    def identity(self) -> Identity | None:
        """Identity of the encoder; None if it has no weights or is trained."""
        return self.encoder.identity

    @property
    def frozen_sha256(self) -> str | None:
        """Digest of the frozen tensors; None if there are none."""
        return self.identity.sha256 if self.identity else None

    @property
    def trained_with(self) -> Preprocessing | None:
        """How images were normalised in pre-training, if anybody knows."""
        return self.encoder.trained_with

    def run_prefix(self, x: Tensor) -> Tensor:
        """Run the blocks that nothing tuned reaches.

        Training does not change what comes out, so it can be kept.

        Args:
            x: Images, ``(B, in_channels, img_size, img_size)``.

        Returns:
            States, ``(B, S, C)``, which ``forward`` takes in place of images.
        """
        tokens = self.encoder.embed(x, num_masks=self.sequence.num_masks)
        bias = self.sequence.plain_bias(self.encoder.position_table)
        return self.encoder.run(
            tokens, bias, range(self.prefix_depth), self._needed
        )

    def forward(self, x: Tensor) -> tuple[Tensor]:
        are_states = x.ndim == 3 and x.size(2) == self.encoder.embed_dims
        if are_states and self.prefix_depth:
            tokens = x.to(self.encoder.cls_token.dtype)
        else:
            tokens = self.run_prefix(x)
        tokens = self.encoder.run(
            tokens,
            self.sequence.prompted_bias(self.encoder.position_table),
            range(self.prefix_depth, self.readout.num_blocks),
            self._needed,
            self.tuning,
            self.with_cp and torch.is_grad_enabled(),
        )
        feature = self.readout(tokens, self.encoder, self.sequence)
        dtype = torch.promote_types(feature.dtype, torch.float32)
        return (feature.to(dtype),)

    def train(self, mode: bool = True) -> 'AdaptedBackbone':
        """Set the mode; an encoder that is frozen stays in eval."""
        super().train(mode)  # the host's returns nothing
        return self

    def init_weights(self) -> None:
        """Keep the weights that were read when the backbone was built."""

    def apply(self, fn: Any) -> 'AdaptedBackbone':
        """Keep initialisers out, which a parent's ``init_cfg`` names."""
        return self

    def get_layer_depth(
        self, param_name: str, prefix: str = ''
    ) -> tuple[int, int]:
        """Return the depth of a parameter's layer, and how many there are.

        For the host's ``LearningRateDecayOptimWrapperConstructor``: the
        embedding is layer 0, then the blocks; what comes after is the last.
        """
        return self.encoder.get_layer_depth(param_name, f'{prefix}encoder.')

    def frozen_state_dict(self) -> dict[str, Tensor]:
        """Return each frozen tensor by name, without derived buffers."""
        return {
            name: tensor
            for name, tensor in without_derived(self.state_dict()).items()
            if name.partition('.')[0] in self.frozen_children
        }

    def state_dict(
        self, *args: Any, prefix: str = '', **kwargs: Any
    ) -> dict[str, Tensor]:
        """As in torch, by the names of checkpoints."""
        state = super().state_dict(*args, prefix=prefix, **kwargs)
        # All of ours, in turn, so that they keep their order.
        for name in [name for name in state if name.startswith(prefix)]:
            ours = name.removeprefix(prefix)
            state[prefix + _to_checkpoint_name(ours)] = state.pop(name)
        return state

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, *args: Any
    ) -> None:
        for name in [name for name in state_dict if name.startswith(prefix)]:
            ours = _from_checkpoint_name(name.removeprefix(prefix))
            state_dict[prefix + ours] = state_dict.pop(name)
        if f'{prefix}encoder.{FROZEN_SHA256}' in state_dict:
            # The host would only warn.
            require_same_state(
                self.tuning.state_dict(),
                part_of(state_dict, f'{prefix}tuning.'),
                f'the task does not fit {type(self).__name__}',
            )
        super()._load_from_state_dict(state_dict, prefix, *args)


def _to_checkpoint_name(name: str) -> str:
    part, _, rest = name.partition('.')
    of_encoder = part == 'encoder' and not rest.startswith(PREDICTOR)
    return name if of_encoder or part == 'readout' else rest


def _from_checkpoint_name(name: str) -> str:
    if name.startswith(('encoder.', 'readout.')):
        return name
    of_encoder = name in (FROZEN_SHA256, ENCODER_SETTINGS)
    of_encoder = of_encoder or name.startswith(PREDICTOR)
    return f'encoder.{name}' if of_encoder else f'tuning.{name}'


def _build(name: str, base: type[Part], cfg: Any, *given: Any) -> Part:
    """Build a part of a backbone from its config."""
    if not isinstance(cfg, dict):
        raise TypeError(f"{name}={cfg!r} must be a dict with a 'type'.")
    options = dict(cfg)
    kind = options.pop('type', None)
    cls = MODELS.get(kind) if isinstance(kind, str) else kind
    if not (isinstance(cls, type) and issubclass(cls, base)):
        known = sorted(one.__name__ for one in base.__subclasses__())
        raise ValueError(f'{name}.type={kind!r} must be one of {known}.')
    return cls(*given, **options)
