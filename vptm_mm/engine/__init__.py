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
    TaskFileHook,
    TrainingCurvesHook,
    TunedParametersHook,
)
from .optimizers import TunedOptimWrapperConstructor

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
    'TaskFileHook',
    'TrainingCurvesHook',
    'TunedOptimWrapperConstructor',
    'TunedParametersHook',
]
