from .patch_kmeans import PatchKMeansTokenizer

__all__ = ['PatchKMeansTokenizer']
