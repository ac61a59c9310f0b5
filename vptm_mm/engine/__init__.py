from .any_device_runner import AnyDeviceRunner
from .hooks.checkpoint_check import CheckpointCheckHook
from .hooks.class_mean_prototypes import ClassMeanPrototypesHook
from .hooks.finite_loss import FiniteLossHook
from .hooks.prefix_cache import PrefixCacheHook
from .hooks.resumable_checkpoint import ResumableCheckpointHook
from .hooks.run_record import RunRecordHook
from .hooks.task_file import TaskFileHook
from .hooks.tuning_scalars import TuningScalarsHook
from .optim import BFloat16OptimWrapper, TunedOptimWrapperConstructor
from .resumable_train_loop import ResumableTrainLoop
from .whole_file_backend import WholeFileBackend

__all__ = [
    'AnyDeviceRunner',
    'BFloat16OptimWrapper',
    'CheckpointCheckHook',
    'ClassMeanPrototypesHook',
    'FiniteLossHook',
    'PrefixCacheHook',
    'ResumableCheckpointHook',
    'ResumableTrainLoop',
    'RunRecordHook',
    'TaskFileHook',
    'TunedOptimWrapperConstructor',
    'TuningScalarsHook',
    'WholeFileBackend',
]
