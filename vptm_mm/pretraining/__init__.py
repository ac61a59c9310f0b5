"""Pre-training in rounds: the tokens of each come from the one before it."""

from .export_weights import ExportWeightsHook
from .fit_tokenizer import FitTokenizerHook
from .report_hook import PretrainingReportHook

__all__ = ['ExportWeightsHook', 'FitTokenizerHook', 'PretrainingReportHook']
