from .any_device_runner import AnyDeviceRunner
from .hooks import (
    BestCheckpointTestHook,
    CheckpointCheckHook,
    ClassMeanPrototypesHook,
    ExportBackboneHook,
    ExportTokenizerHook,
    FiniteLossHook,
    FitTokenizerHook,
    LinearProbeHook,
    MaskedTokenAccuracyHook,
    MeanLossHook,
    PrefixCacheHook,
    ResumableCheckpointHook,
    RunRecordHook,
    TaskFileHook,
    TokenReportHook,
    TrainingCurvesHook,
    TunedParametersHook,
    TuningScalarsHook,
)
from .optimizers import BFloat16OptimWrapper, TunedOptimWrapperConstructor
from .runners import ResumableTrainLoop
from .schedulers import WarmUpLR
from .whole_file_backend import WholeFileBackend

__all__ = [
    'AnyDeviceRunner',
    'BFloat16OptimWrapper',
    'CheckpointCheckHook',
    'ClassMeanPrototypesHook',
    'ExportBackboneHook',
    'ExportTokenizerHook',
    'FiniteLossHook',
    'FitTokenizerHook',
    'LinearProbeHook',
    'MaskedTokenAccuracyHook',
    'MeanLossHook',
    'BestCheckpointTestHook',
    'ResumableCheckpointHook',
    'ResumableTrainLoop',
    'PrefixCacheHook',
    'RunRecordHook',
    'TaskFileHook',
    'TokenReportHook',
    'TrainingCurvesHook',
    'TunedOptimWrapperConstructor',
    'TunedParametersHook',
    'WarmUpLR',
    'WholeFileBackend',
    'TuningScalarsHook',
]
