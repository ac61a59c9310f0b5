from .pooled_task import Picture, Prediction, PreparedImage
from .task_pool import VPTMTaskPool
