"""What every tuning run shares: best checkpoint, test, task file, report."""

_base_ = './default_runtime.py'

default_hooks = dict(
    checkpoint=dict(save_best='accuracy/top1', rule='greater')
)
custom_hooks = [
    dict(type='CheckpointCheckHook'),
    dict(type='ClassMeanPrototypesHook'),
    dict(type='TunedParametersHook'),
    dict(type='TrainingCurvesHook'),
    dict(type='BestCheckpointTestHook'),
    dict(type='TaskFileHook'),
    dict(type='FiniteLossHook'),
]
