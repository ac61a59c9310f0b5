from .page import make_page
from .pictures import picture_uris
from .run_folder import RunFolder, read_run
from .tested import (
    FILENAME,
    Tested,
    open_test_set,
    predict_test,
    read_tested,
    write_tested,
)

__all__ = [
    'FILENAME',
    'RunFolder',
    'Tested',
    'make_page',
    'picture_uris',
    'predict_test',
    'read_run',
    'read_tested',
    'open_test_set',
    'write_tested',
]
