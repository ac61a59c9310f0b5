"""What every tuning run shares: prototypes, best checkpoint, task file.

A hook is left out by its name: ``default_hooks=dict(task_file=None)``.
"""

_base_ = './default_runtime.py'

default_hooks = dict(
    checkpoint=dict(save_best='accuracy/top1', rule='greater', test_best=True),
    class_means=dict(type='ClassMeanPrototypesHook'),
    task_file=dict(type='TaskFileHook'),
)
