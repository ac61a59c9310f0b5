from .any_device_runner import AnyDeviceRunner
from .hooks import (
    CheckpointCheckHook,
    ClassMeanPrototypesHook,
    FiniteLossHook,
    PrefixCacheHook,
    ResumableCheckpointHook,
    RunRecordHook,
    TaskFileHook,
    TuningScalarsHook,
)
from .optimizers import BFloat16OptimWrapper, TunedOptimWrapperConstructor
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
