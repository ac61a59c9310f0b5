"""Where a verb's results go: a file, or stdout."""

import sys
from pathlib import Path

from ..weights import write_whole

STDOUT = '-'


def write_out(out: str | Path, content: str) -> None:
    """Write to a file, whole or not at all; ``-`` is stdout."""
    if str(out) == STDOUT:
        sys.stdout.write(content)
    else:
        write_whole(Path(out), content.encode(errors='backslashreplace'))
