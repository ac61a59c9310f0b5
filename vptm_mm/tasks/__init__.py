from .build import (
    build_preprocessing,
    config_of,
    file_pipeline,
    frozen_init,
    inner_datasets,
    load_classifier,
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
