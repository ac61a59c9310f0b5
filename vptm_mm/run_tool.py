"""What surrounds the main function of a tool: streams, errors, exit code."""

import io
import logging
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from mmengine.logging import MMLogger

from .host import quiet_host

DEBUG = 'VPTM_DEBUG'  # in the environment: every error has its traceback
PACKAGE = Path(__file__).parent


def run_tool(main: Callable[[], int | None]) -> None:
    """Run a tool; leave the process unless it ended well.

    Results go to stdout, and the log to stderr. A character that a stream
    cannot encode is escaped. An error that this package raises on purpose, or
    a file that cannot be opened, is one line on stderr; other errors have a
    traceback. The exit code of an error is 2.

    Args:
        main: The tool. It returns an exit code, or None for 0.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')
    quiet_host()
    for handler in MMLogger.get_current_instance().handlers:
        if type(handler) is logging.StreamHandler:
            handler.setStream(sys.stderr)
    try:
        code = main()
    except Exception as error:
        if is_for_users(error, Path(main.__code__.co_filename)):
            print(f'{type(error).__name__}: {error}', file=sys.stderr)
        else:
            traceback.print_exc()
        code = 2
    if code:
        sys.exit(code)


def is_for_users(error: Exception, tool: Path) -> bool:
    """Whether the text of an error says all that a user needs.

    Args:
        error: What was caught.
        tool: The file of the tool.
    """
    if os.environ.get(DEBUG):
        return False
    if isinstance(error, OSError) and error.filename is not None:
        return True
    raised = traceback.extract_tb(error.__traceback__)[-1]
    path = Path(raised.filename)
    is_ours = path.is_relative_to(PACKAGE) or path == tool
    return is_ours and (raised.line or '').startswith('raise ')
