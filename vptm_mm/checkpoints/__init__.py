from .pretrained import read_pretrained
from .task_file import Task, read_task, write_task
from .task_model import (
    classifier_of,
    frozen_init,
    load_classifier,
    make_task,
    prediction_pipeline,
    require_registered,
)
from .task_state import FROZEN_SHA256, require_fit, task_state
from .whole_file import PART, WriteError, explained, write_whole

__all__ = [
    'FROZEN_SHA256',
    'PART',
    'Task',
    'WriteError',
    'classifier_of',
    'explained',
    'frozen_init',
    'load_classifier',
    'make_task',
    'prediction_pipeline',
    'read_pretrained',
    'read_task',
    'require_fit',
    'require_registered',
    'task_state',
    'write_task',
    'write_whole',
]
