from .pretrained import read_pretrained
from .task_file import Task, read_task, write_task
from .task_state import (
    FROZEN_SHA256,
    load_classifier,
    make_task,
    require_fit,
    task_state,
)

__all__ = [
    'FROZEN_SHA256',
    'Task',
    'load_classifier',
    'make_task',
    'read_pretrained',
    'read_task',
    'require_fit',
    'task_state',
    'write_task',
]
