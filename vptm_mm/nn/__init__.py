from .bottleneck_adapter import BottleneckAdapter
from .checks import (
    is_finite,
    is_int,
    require_int,
    require_list,
    require_positive,
)
from .discriminants import discriminant_projection, shrunk_covariance
from .freezing import freeze, tuned_parameters
from .low_rank_update import LowRankUpdate
from .position_bias import CLS, PLACED, ZERO, PaddedPositionBias, grid_places
from .prompt_tokens import PromptTokens
from .qkv_bias import qkv_bias
from .state_difference import StateDifference, compare_states, without_derived
from .tensor_digest import tensors_sha256
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
    'StateDifference',
    'TokenSequence',
    'Unfilled',
    'VectorQuantizer',
    'compare_states',
    'discriminant_projection',
    'freeze',
    'grid_places',
    'instance_loss',
    'is_finite',
    'is_int',
    'qkv_bias',
    'require_int',
    'require_list',
    'require_positive',
    'shrunk_covariance',
    'tensors_sha256',
    'tuned_parameters',
    'without_derived',
]
