from .checkpoint_check import CheckpointCheckHook
from .class_mean_prototypes import ClassMeanPrototypesHook
from .finite_loss import FiniteLossHook
from .prefix_cache import PrefixCacheHook
from .resumable_checkpoint import ResumableCheckpointHook
from .run_record import RunRecordHook
from .task_file import TaskFileHook
from .tuning_scalars import TuningScalarsHook

__all__ = [
    'CheckpointCheckHook',
    'ClassMeanPrototypesHook',
    'FiniteLossHook',
    'PrefixCacheHook',
    'ResumableCheckpointHook',
    'RunRecordHook',
    'TaskFileHook',
    'TuningScalarsHook',
]
