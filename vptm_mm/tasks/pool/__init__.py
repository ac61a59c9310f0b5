from .pooled_task import Picture, PreparedImage, read_image
from .task_pool import VPTMTaskPool

__all__ = ['Picture', 'PreparedImage', 'VPTMTaskPool', 'read_image']
