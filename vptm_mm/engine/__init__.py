from .hooks import (
    BestCheckpointTestHook,
    CheckpointCheckHook,
    ClassMeanPrototypesHook,
    ExportBackboneHook,
    FitTokenizerHook,
    MaskedTokenAccuracyHook,
    TrainingCurvesHook,
    TunedParametersHook,
)
from .optimizers import TunedOptimWrapperConstructor

__all__ = [
    'CheckpointCheckHook',
    'ClassMeanPrototypesHook',
    'ExportBackboneHook',
    'FitTokenizerHook',
    'MaskedTokenAccuracyHook',
    'BestCheckpointTestHook',
    'TrainingCurvesHook',
    'TunedOptimWrapperConstructor',
    'TunedParametersHook',
]
