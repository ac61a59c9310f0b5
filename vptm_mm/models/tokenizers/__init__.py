from .feature_kmeans import FeatureKMeansTokenizer
from .kept_tokens import KeptTokens
from .patch_kmeans import PatchKMeansTokenizer
from .vqkd_distiller import VQKDDistiller
from .vqkd_tokenizer import VQKDTokenizer

__all__ = [
    'FeatureKMeansTokenizer',
    'KeptTokens',
    'PatchKMeansTokenizer',
    'VQKDDistiller',
    'VQKDTokenizer',
]
