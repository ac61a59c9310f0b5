from .checkpoint_check import CheckpointCheckHook
from .class_mean_prototypes import ClassMeanPrototypesHook
from .export_weights import ExportWeightsHook
from .finite_loss import FiniteLossHook
from .fit_tokenizer import FitTokenizerHook
from .prefix_cache import PrefixCacheHook
from .pretraining_report import PretrainingReportHook
from .resumable_checkpoint import ResumableCheckpointHook
from .run_record import RunRecordHook
from .task_file import TaskFileHook
from .tuning_scalars import TuningScalarsHook

__all__ = [
    'CheckpointCheckHook',
    'ClassMeanPrototypesHook',
    'ExportWeightsHook',
    'FiniteLossHook',
    'FitTokenizerHook',
    'PrefixCacheHook',
    'PretrainingReportHook',
    'ResumableCheckpointHook',
    'RunRecordHook',
    'TaskFileHook',
    'TuningScalarsHook',
]
