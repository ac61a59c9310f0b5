from .page import (
    CSS,
    build_page,
    classify_and_show,
    require_gradio,
    write_examples,
)

__all__ = [
    'CSS',
    'build_page',
    'classify_and_show',
    'require_gradio',
    'write_examples',
]
