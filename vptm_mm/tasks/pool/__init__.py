from .pooled_task import Picture, prepare, read_image
from .task_pool import PreparedImage, VPTMTaskPool

__all__ = ['Picture', 'PreparedImage', 'VPTMTaskPool', 'prepare', 'read_image']
