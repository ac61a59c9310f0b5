from .cache_key import cache_key
from .cached_inputs import CachedInputs, StatePreprocessor, leaf_datasets
from .state_file import DamagedStatesError, read_states, write_states

__all__ = [
    'CachedInputs',
    'DamagedStatesError',
    'StatePreprocessor',
    'cache_key',
    'leaf_datasets',
    'read_states',
    'write_states',
]
