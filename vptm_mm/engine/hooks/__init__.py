from .best_checkpoint import BestCheckpointTestHook
from .checkpoint_check import CheckpointCheckHook
from .class_mean_prototypes import ClassMeanPrototypesHook
from .export_backbone import ExportBackboneHook
from .finite_loss import FiniteLossHook
from .fit_tokenizer import FitTokenizerHook
from .masked_token_accuracy import MaskedTokenAccuracyHook
from .resumable_checkpoint import ResumableCheckpointHook
from .task_file import TaskFileHook
from .training_curves import TrainingCurvesHook
from .tuned_parameters import TunedParametersHook

__all__ = [
    'CheckpointCheckHook',
    'ClassMeanPrototypesHook',
    'ExportBackboneHook',
    'FiniteLossHook',
    'FitTokenizerHook',
    'MaskedTokenAccuracyHook',
    'BestCheckpointTestHook',
    'ResumableCheckpointHook',
    'TaskFileHook',
    'TrainingCurvesHook',
    'TunedParametersHook',
]
