from ..image_content import MAX_PIXELS
from .page import (
    CSS,
    build_page,
    classify_and_show,
    require_gradio,
    write_examples,
)
from .upload import MB, Limits, read_upload

__all__ = [
    'CSS',
    'MAX_PIXELS',
    'MB',
    'Limits',
    'build_page',
    'classify_and_show',
    'read_upload',
    'require_gradio',
    'write_examples',
]
