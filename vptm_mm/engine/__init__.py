from .any_device_runner import AnyDeviceRunner
from .hooks import (
    BestCheckpointTestHook,
    CheckpointCheckHook,
    ClassMeanPrototypesHook,
    ExportBackboneHook,
    FiniteLossHook,
    FitTokenizerHook,
    MaskedTokenAccuracyHook,
    MeanLossHook,
    PrefixCacheHook,
    ProgressHook,
    ResumableCheckpointHook,
    RunRecordHook,
    TaskFileHook,
    TrainingCurvesHook,
    TunedParametersHook,
    TuningScalarsHook,
)
from .optimizers import TunedOptimWrapperConstructor
from .runners import ResumableTrainLoop
from .whole_file_backend import WholeFileBackend

__all__ = [
    'AnyDeviceRunner',
    'CheckpointCheckHook',
    'ClassMeanPrototypesHook',
    'ExportBackboneHook',
    'FiniteLossHook',
    'FitTokenizerHook',
    'MaskedTokenAccuracyHook',
    'MeanLossHook',
    'BestCheckpointTestHook',
    'ResumableCheckpointHook',
    'ResumableTrainLoop',
    'PrefixCacheHook',
    'ProgressHook',
    'RunRecordHook',
    'TaskFileHook',
    'TrainingCurvesHook',
    'TunedOptimWrapperConstructor',
    'TunedParametersHook',
    'WholeFileBackend',
    'TuningScalarsHook',
]
