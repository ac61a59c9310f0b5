from .bottleneck_adapter import BottleneckAdapter
from .checks import (
    is_finite,
    is_int,
    require_int,
    require_list,
    require_positive,
)
from .discriminants import (
    discriminant_projection,
    regularized_covariance,
    shrunk_covariance,
)
from .freezing import freeze, trainable_parameters
from .low_rank_update import LowRankUpdate
from .position_bias import CLS, PLACED, ZERO, PaddedPositionBias, grid_places
from .prompt_tokens import PromptTokens
from .qkv_bias import qkv_bias
from .state_dicts import (
    describe_differences,
    part_of,
    require_same_state,
    state_differences,
    tensors_sha256,
    without_derived,
)
from .token_sequence import NO_MASKS, MaskLayout, TokenSequence
from .unfilled import Unfilled
from .vector_quantizer import VectorQuantizer
from .verbalizer import PrototypicalVerbalizer, instance_loss

__all__ = [
    'CLS',
    'NO_MASKS',
    'PLACED',
    'ZERO',
    'BottleneckAdapter',
    'LowRankUpdate',
    'MaskLayout',
    'PaddedPositionBias',
    'PromptTokens',
    'PrototypicalVerbalizer',
    'TokenSequence',
    'Unfilled',
    'VectorQuantizer',
    'discriminant_projection',
    'freeze',
    'grid_places',
    'instance_loss',
    'is_finite',
    'is_int',
    'part_of',
    'qkv_bias',
    'regularized_covariance',
    'require_int',
    'require_list',
    'require_positive',
    'require_same_state',
    'describe_differences',
    'shrunk_covariance',
    'state_differences',
    'tensors_sha256',
    'trainable_parameters',
    'without_derived',
]
