from .pooled_task import Picture, Prediction, PreparedImage, read_image
from .task_pool import VPTMTaskPool

__all__ = [
    'Picture',
    'Prediction',
    'PreparedImage',
    'VPTMTaskPool',
    'read_image',
]
