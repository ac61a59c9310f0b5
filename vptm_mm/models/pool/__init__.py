from .pooled_task import prepare, read_image
from .task_pool import VPTMTaskPool

__all__ = ['VPTMTaskPool', 'prepare', 'read_image']
