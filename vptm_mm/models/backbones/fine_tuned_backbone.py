"""BEiT v2 of which everything, or each bias, is tuned."""

from mmpretrain.registry import MODELS
from torch import Tensor

from .encoder_block import run_block
from .frozen_features import FrozenFeatures

TUNED = ('all', 'bias')


@MODELS.register_module()
class FineTunedBackbone(FrozenFeatures):
    """The encoder itself is tuned, after its weights were read strictly.

    ``'all'`` is full fine-tuning: everything but the mask token, which a
    classifier does not read. ``'bias'`` is
    `BitFit <https://arxiv.org/abs/2106.10199>`_, section 3: each bias of a
    linear layer or a LayerNorm, of the patch embedding and of query and value
    (BEiT's keys have none). The table of the relative position bias is no
    bias in this sense: it is added to attention scores, and stays frozen.

    The encoder follows ``train()``: its dropout and drop path act in training,
    at the rates of its config. Task files hold what is added to a frozen
    encoder, so there are none of this backbone.

    Args:
        encoder: As in ``VPTMBackbone``.
        tuned: ``'all'`` or ``'bias'``.
        readout: As in ``FrozenFeatures``.
        pool_grid: As in ``FrozenFeatures``.
        init_cfg: As in ``VPTMBackbone``.

    Shape:
        As ``FrozenFeatures``.

    Raises:
        ValueError: If ``tuned`` is neither, or a task is loaded.
    """

    def __init__(
        self,
        encoder: dict,
        tuned: str,
        readout: str = 'cls',
        pool_grid: int = 1,
        init_cfg: dict | None = None,
    ) -> None:
        if tuned not in TUNED:
            raise ValueError(f'tuned={tuned!r} must be one of {TUNED}.')
        super().__init__(encoder, readout, pool_grid, init_cfg)
        for name, parameter in self.encoder.named_parameters():
            # 'bias', 'q_bias', 'v_bias', but not the bias table.
            is_tuned = name.endswith('bias') or tuned == 'all'
            parameter.requires_grad_(is_tuned and name != 'mask_token')

    @property
    def prefix_depth(self) -> int:
        """None: the blocks are tuned."""
        return 0

    def get_layer_depth(
        self, param_name: str, prefix: str = ''
    ) -> tuple[int, int]:
        """Return the depth of a parameter's layer, and how many there are.

        For the host's ``LearningRateDecayOptimWrapperConstructor``: the
        embedding is layer 0, then the blocks; what comes after is the last.
        """
        return self.encoder.get_layer_depth(param_name, f'{prefix}encoder.')

    def _run_tuned_blocks(self, tokens: Tensor) -> Tensor:
        bias = self._plain_bias()
        for layer in self.encoder.layers:
            tokens = run_block(layer, tokens, bias, self._read(layer))
        return tokens

    def train(self, mode: bool = True) -> 'FineTunedBackbone':
        """Set the mode of the encoder, too."""
        super().train(mode)
        self.encoder.train(mode)
        return self

    def _require_frozen(self, wanted: str) -> None:
        raise ValueError(
            'FineTunedBackbone tunes its encoder, and a task was tuned on a '
            f'frozen one (sha256 {wanted}); load it with the config that it '
            'was tuned with.'
        )
