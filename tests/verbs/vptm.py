"""``vptm`` in this process; its errors come out."""

from vptm_mm.run_verb import call_verb
from vptm_mm_cli import parse


def vptm(*words):
    return call_verb(*parse([*map(str, words)]))
