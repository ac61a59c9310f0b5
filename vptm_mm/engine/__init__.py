from .hooks import (
    BestCheckpointTestHook,
    CheckpointCheckHook,
    ClassMeanPrototypesHook,
    ExportBackboneHook,
    FitTokenizerHook,
    MaskedTokenAccuracyHook,
    ProgressHook,
    RunRecordHook,
    TaskFileHook,
    TrainingCurvesHook,
    TunedParametersHook,
    TuningScalarsHook,
)
from .optimizers import TunedOptimWrapperConstructor

__all__ = [
    'CheckpointCheckHook',
    'ClassMeanPrototypesHook',
    'ExportBackboneHook',
    'FitTokenizerHook',
    'MaskedTokenAccuracyHook',
    'BestCheckpointTestHook',
    'ProgressHook',
    'RunRecordHook',
    'TaskFileHook',
    'TrainingCurvesHook',
    'TunedOptimWrapperConstructor',
    'TunedParametersHook',
    'TuningScalarsHook',
]
