from .attention import (
    AttentionMaps,
    attention_maps,
    attention_rollout,
    attention_weights,
    recorded_attention,
)
from .attention_picture import draw_attention, draw_shares
from .confusion import confused_pairs, count_confusions, draw_confusion
from .embedding import METHODS, draw_embedding, embed
from .image_source import (
    SPLITS,
    ImageFiles,
    batches,
    draw_sample,
    file_name,
    open_split,
    to_pixels,
)
from .mask_overlay import draw_overlay, mask_attention, to_uint8
from .predictions import Predictions, class_names, predict
from .prototypes import (
    compare_prototypes,
    draw_prototypes,
    nearest_pairs,
    prototypes_of,
)
from .style import write_png
from .tokens import TokenCounts, build_untuned, count_tokens, find_examples
from .tokens_picture import draw_tokens, shown_tokens

__all__ = [
    'METHODS',
    'SPLITS',
    'AttentionMaps',
    'ImageFiles',
    'Predictions',
    'TokenCounts',
    'attention_maps',
    'attention_rollout',
    'attention_weights',
    'batches',
    'build_untuned',
    'class_names',
    'compare_prototypes',
    'confused_pairs',
    'count_confusions',
    'count_tokens',
    'draw_attention',
    'draw_confusion',
    'draw_embedding',
    'draw_overlay',
    'draw_prototypes',
    'draw_sample',
    'draw_shares',
    'draw_tokens',
    'embed',
    'file_name',
    'find_examples',
    'mask_attention',
    'nearest_pairs',
    'open_split',
    'predict',
    'prototypes_of',
    'recorded_attention',
    'shown_tokens',
    'to_pixels',
    'to_uint8',
    'write_png',
]
