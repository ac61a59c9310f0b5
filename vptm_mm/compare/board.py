"""What a study says: each run's state, read in one go."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

OPEN, RUNNING, DONE, FAILED = 'open', 'running', 'done', 'failed'


@dataclass
class Entry:
    """One run as the study knows it.

    Args:
        key: The job's key.
        state: ``'open'``, ``'running'``, ``'done'`` or ``'failed'``.
        slot: Slot of its search; empty for a final run.
        point: Its hyper-parameters.
        result: What was measured, or the error; empty while it is open.
    """

    key: str
    state: str = OPEN
    slot: str = ''
    point: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def is_finished(self) -> bool:
        return self.state in (DONE, FAILED)


class Board:
    """The entries of a study, by key.

    Args:
        entries: What is known; runs that are not listed are open.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.entries = {entry.key: entry for entry in entries}

    def get(self, key: str) -> Entry:
        """Return an entry; an open one if nothing is known."""
        return self.entries.get(key, Entry(key))

    def is_open(self, key: str) -> bool:
        return self.get(key).state == OPEN

    def is_finished(self, key: str) -> bool:
        return self.get(key).is_finished

    def of_search(self, search_key: str) -> list[Entry]:
        """Return what is known of one search, without its open slots."""
        return [
            entry
            for entry in self.entries.values()
            if entry.slot
            and entry.key.startswith(f'{search_key}/')
            and entry.state != OPEN
        ]
