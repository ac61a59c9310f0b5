from .hooks import (
    BestCheckpointTestHook,
    CheckpointCheckHook,
    ClassMeanPrototypesHook,
    ExportBackboneHook,
    FiniteLossHook,
    FitTokenizerHook,
    MaskedTokenAccuracyHook,
    TaskFileHook,
    TrainingCurvesHook,
    TunedParametersHook,
)
from .optimizers import TunedOptimWrapperConstructor

__all__ = [
    'CheckpointCheckHook',
    'ClassMeanPrototypesHook',
    'ExportBackboneHook',
    'FiniteLossHook',
    'FitTokenizerHook',
    'MaskedTokenAccuracyHook',
    'BestCheckpointTestHook',
    'TaskFileHook',
    'TrainingCurvesHook',
    'TunedOptimWrapperConstructor',
    'TunedParametersHook',
]
