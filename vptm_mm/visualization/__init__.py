from .attention import (
    AttentionMaps,
    attention_maps,
    attention_rollout,
    attention_weights,
    mask_attention,
    overlay_attention,
    plot_attention,
    plot_shares,
    recorded_attention,
)
from .confusion import confused_pairs, count_confusions, plot_confusion
from .embedding import METHODS, embed, plot_embedding
from .images import (
    SPLITS,
    ImageFiles,
    batches,
    file_name,
    open_split,
    sample_images,
    to_pixels,
    to_uint8,
)
from .predictions import Predictions, class_names, predict
from .prototypes import (
    compare_prototypes,
    nearest_pairs,
    plot_prototypes,
    prototypes_of,
)
from .style import write_png
from .tokens import (
    TokenCounts,
    build_untuned,
    count_tokens,
    find_examples,
    plot_tokens,
    shown_tokens,
)

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
    'embed',
    'file_name',
    'find_examples',
    'mask_attention',
    'nearest_pairs',
    'open_split',
    'overlay_attention',
    'plot_attention',
    'plot_confusion',
    'plot_embedding',
    'plot_prototypes',
    'plot_shares',
    'plot_tokens',
    'predict',
    'prototypes_of',
    'recorded_attention',
    'sample_images',
    'shown_tokens',
    'to_pixels',
    'to_uint8',
    'write_png',
]
