from .page import (
    CSS,
    build_page,
    draw_pictures,
    require_gradio,
    write_examples,
)
from .upload import MAX_PIXELS, MB, Limits, read_upload

__all__ = [
    'CSS',
    'MAX_PIXELS',
    'MB',
    'Limits',
    'build_page',
    'draw_pictures',
    'read_upload',
    'require_gradio',
    'write_examples',
]
