from .build import (
    build_preprocessing,
    classifier_of,
    frozen_init,
    inner_datasets,
    load_classifier,
    make_task,
    prediction_pipeline,
)
from .state import (
    ENCODER_SETTINGS,
    FROZEN_SHA256,
    IDENTITY,
    load_state,
    read_checkpoint,
    require_fit,
    task_state,
)
from .task import (
    Task,
    find_task_file,
    name_and_path,
    name_files,
    read_task,
    task_file_name,
    validate,
    write_task,
)

from .pool import VPTMTaskPool  # isort: skip

__all__ = [
    'ENCODER_SETTINGS',
    'FROZEN_SHA256',
    'IDENTITY',
    'Task',
    'VPTMTaskPool',
    'build_preprocessing',
    'classifier_of',
    'find_task_file',
    'frozen_init',
    'inner_datasets',
    'load_classifier',
    'load_state',
    'make_task',
    'name_and_path',
    'name_files',
    'prediction_pipeline',
    'read_checkpoint',
    'read_task',
    'require_fit',
    'task_file_name',
    'task_state',
    'validate',
    'write_task',
]
