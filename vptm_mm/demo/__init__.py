from .page import (
    CSS,
    Show,
    build_page,
    classify_and_show,
    require_gradio,
    show_from,
    show_here,
    write_examples,
)

__all__ = [
    'CSS',
    'Show',
    'build_page',
    'classify_and_show',
    'require_gradio',
    'show_from',
    'show_here',
    'write_examples',
]
