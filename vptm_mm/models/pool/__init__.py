from .pooled_task import read_image
from .task_pool import VPTMTaskPool

__all__ = ['VPTMTaskPool', 'read_image']
