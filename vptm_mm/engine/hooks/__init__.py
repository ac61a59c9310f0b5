from .best_checkpoint import BestCheckpointTestHook
from .checkpoint_check import CheckpointCheckHook
from .class_mean_prototypes import ClassMeanPrototypesHook
from .export_backbone import ExportBackboneHook, ExportTokenizerHook
from .finite_loss import FiniteLossHook
from .fit_tokenizer import FitTokenizerHook
from .linear_probe import LinearProbeHook
from .masked_token_accuracy import MaskedTokenAccuracyHook
from .mean_loss import MeanLossHook
from .prefix_cache import PrefixCacheHook
from .resumable_checkpoint import ResumableCheckpointHook
from .run_record import RunRecordHook
from .task_file import TaskFileHook
from .token_report import TokenReportHook
from .training_curves import TrainingCurvesHook
from .tuning import TunedParametersHook, TuningScalarsHook

__all__ = [
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
    'PrefixCacheHook',
    'RunRecordHook',
    'TaskFileHook',
    'TokenReportHook',
    'TrainingCurvesHook',
    'TunedParametersHook',
    'TuningScalarsHook',
]
