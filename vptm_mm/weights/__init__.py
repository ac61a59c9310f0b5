from .atomic_write import (
    WriteError,
    explained,
    open_whole,
    remove_parts,
    whole_path,
    write_whole,
)
from .checkpoint_file import UnsafeCheckpointError, load_file, trust_file
from .preprocessing import preprocessing_of, warn_of_preprocessing
from .pretrained import count_visual_tokens, read_pretrained

__all__ = [
    'UnsafeCheckpointError',
    'WriteError',
    'count_visual_tokens',
    'explained',
    'load_file',
    'open_whole',
    'preprocessing_of',
    'read_pretrained',
    'remove_parts',
    'trust_file',
    'warn_of_preprocessing',
    'whole_path',
    'write_whole',
]
