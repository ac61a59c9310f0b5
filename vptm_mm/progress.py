"""Progress of long work, for people who watch."""

from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar('T')


def progress(
    items: Iterable[T],
    description: str,
    total: int | None = None,
    disable: bool = False,
) -> Iterable[T]:
    """Show a bar with the time left on stderr, if that is a terminal.

    Args:
        items: What is worked on, one after the other.
        description: What they are.
        total: How many, where ``len`` does not say it.
        disable: Whether to show nothing at all.
    """
    console = Console(stderr=True)
    return track(
        items,
        description=description,
        total=total,
        console=console,
        disable=disable or not console.is_terminal,
    )
