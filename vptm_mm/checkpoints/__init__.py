from .checkpoint_file import UnsafeCheckpointError, load_file, trust_file
from .preprocessing import preprocessing_of, warn_of_preprocessing
from .pretrained import count_visual_tokens, read_pretrained
from .task_file import (
    Task,
    find_task_file,
    name_and_path,
    read_task,
    task_file_name,
    write_task,
)
from .task_model import (
    classifier_of,
    frozen_init,
    inner_datasets,
    load_classifier,
    make_task,
    prediction_pipeline,
)
from .task_schema import encoder_settings, validate
from .task_state import (
    ENCODER_SETTINGS,
    FROZEN_SHA256,
    IDENTITY,
    load_state,
    read_checkpoint,
    require_fit,
    task_state,
)
from .whole_file import (
    WriteError,
    explained,
    open_whole,
    remove_parts,
    whole_path,
    write_whole,
)

__all__ = [
    'ENCODER_SETTINGS',
    'FROZEN_SHA256',
    'IDENTITY',
    'Task',
    'WriteError',
    'UnsafeCheckpointError',
    'classifier_of',
    'count_visual_tokens',
    'encoder_settings',
    'explained',
    'find_task_file',
    'frozen_init',
    'inner_datasets',
    'load_classifier',
    'load_file',
    'load_state',
    'name_and_path',
    'make_task',
    'open_whole',
    'prediction_pipeline',
    'preprocessing_of',
    'read_checkpoint',
    'read_pretrained',
    'read_task',
    'remove_parts',
    'require_fit',
    'task_file_name',
    'task_state',
    'trust_file',
    'validate',
    'warn_of_preprocessing',
    'whole_path',
    'write_task',
    'write_whole',
]
