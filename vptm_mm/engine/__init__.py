from .hooks import (
    BestCheckpointTestHook,
    CheckpointCheckHook,
    ClassMeanPrototypesHook,
    ExportBackboneHook,
    FiniteLossHook,
    FitTokenizerHook,
    MaskedTokenAccuracyHook,
    ResumableCheckpointHook,
    TaskFileHook,
    TrainingCurvesHook,
    TunedParametersHook,
)
from .optimizers import TunedOptimWrapperConstructor
from .runners import ResumableTrainLoop
from .whole_file_backend import WholeFileBackend

__all__ = [
    'CheckpointCheckHook',
    'ClassMeanPrototypesHook',
    'ExportBackboneHook',
    'FiniteLossHook',
    'FitTokenizerHook',
    'MaskedTokenAccuracyHook',
    'BestCheckpointTestHook',
    'ResumableCheckpointHook',
    'ResumableTrainLoop',
    'TaskFileHook',
    'TrainingCurvesHook',
    'TunedOptimWrapperConstructor',
    'TunedParametersHook',
    'WholeFileBackend',
]
