from .checkpoint_file import UnsafeCheckpointError, load_file, trust_file
from .pretrained import read_pretrained
from .task_file import Task, read_task, write_task
from .task_model import (
    classifier_of,
    frozen_init,
    load_classifier,
    make_task,
    prediction_pipeline,
    require_registered,
    require_small_encoder,
)
from .task_state import (
    FROZEN_SHA256,
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
    'FROZEN_SHA256',
    'Task',
    'WriteError',
    'UnsafeCheckpointError',
    'classifier_of',
    'explained',
    'frozen_init',
    'load_classifier',
    'load_file',
    'load_state',
    'make_task',
    'open_whole',
    'prediction_pipeline',
    'read_checkpoint',
    'read_pretrained',
    'read_task',
    'remove_parts',
    'require_fit',
    'require_registered',
    'require_small_encoder',
    'task_state',
    'trust_file',
    'whole_path',
    'write_task',
    'write_whole',
]
