from .task_pool import VPTMTaskPool

__all__ = ['VPTMTaskPool']
