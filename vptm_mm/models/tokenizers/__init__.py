from .feature_kmeans import FeatureKMeansTokenizer
from .patch_kmeans import PatchKMeansTokenizer
from .vqkd_distiller import VQKDDistiller
from .vqkd_tokenizer import VQKDTokenizer

__all__ = [
    'FeatureKMeansTokenizer',
    'PatchKMeansTokenizer',
    'VQKDDistiller',
    'VQKDTokenizer',
]
