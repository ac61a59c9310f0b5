from .any_device_runner import AnyDeviceRunner
from .hooks import (
    CheckpointCheckHook,
    ClassMeanPrototypesHook,
    ExportWeightsHook,
    FiniteLossHook,
    FitTokenizerHook,
    PrefixCacheHook,
    PretrainingReportHook,
    ResumableCheckpointHook,
    RunRecordHook,
    TaskFileHook,
    TuningScalarsHook,
)
from .optimizers import BFloat16OptimWrapper, TunedOptimWrapperConstructor
from .runners import ResumableTrainLoop
from .whole_file_backend import WholeFileBackend

__all__ = [
    'AnyDeviceRunner',
    'BFloat16OptimWrapper',
    'CheckpointCheckHook',
    'ClassMeanPrototypesHook',
    'ExportWeightsHook',
    'FiniteLossHook',
    'FitTokenizerHook',
    'PrefixCacheHook',
    'PretrainingReportHook',
    'ResumableCheckpointHook',
    'ResumableTrainLoop',
    'RunRecordHook',
    'TaskFileHook',
    'TunedOptimWrapperConstructor',
    'TuningScalarsHook',
    'WholeFileBackend',
]
