"""``vptm`` in this process; its errors come out."""

import logging
import sys

from mmengine.logging import MMLogger

from vptm_mm.run_verb import call_verb
from vptm_mm_cli import parse


def vptm(*words):
    # A test before this one may have closed the stream that it logged to.
    for handler in MMLogger.get_current_instance().handlers:
        if type(handler) is logging.StreamHandler:  # not a file of a run
            handler.stream = sys.stdout
    return call_verb(*parse([*map(str, words)]))
