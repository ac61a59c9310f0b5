from .hooks import (
    CheckpointCheckHook,
    ClassMeanPrototypesHook,
    ExportBackboneHook,
    FitTokenizerHook,
    MaskedTokenAccuracyHook,
    TestBestHook,
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
    'TestBestHook',
    'TrainingCurvesHook',
    'TunedOptimWrapperConstructor',
    'TunedParametersHook',
]
