from .build import (
    build_classifier,
    build_preprocessing,
    classifier_of,
    config_of,
    file_pipeline,
    frozen_init,
    inner_datasets,
    make_task,
    open_task,
    prediction_pipeline,
)
from .names import (
    find_task_file,
    name_and_path,
    name_files,
    task_file_name,
)
from .pool import VPTMTaskPool
from .state import (
    IDENTITY_ENTRIES,
    SETTINGS_ENTRY,
    SHA256_ENTRY,
    load_state,
    read_checkpoint,
    require_fit,
    task_state,
)
from .task import Task, read_task, write_task

__all__ = [
    'IDENTITY_ENTRIES',
    'SETTINGS_ENTRY',
    'SHA256_ENTRY',
    'Task',
    'VPTMTaskPool',
    'build_classifier',
    'build_preprocessing',
    'classifier_of',
    'config_of',
    'file_pipeline',
    'find_task_file',
    'frozen_init',
    'inner_datasets',
    'load_state',
    'make_task',
    'name_and_path',
    'name_files',
    'open_task',
    'prediction_pipeline',
    'read_checkpoint',
    'read_task',
    'require_fit',
    'task_file_name',
    'task_state',
    'write_task',
]
