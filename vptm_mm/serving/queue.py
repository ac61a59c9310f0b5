"""Lets requests in, first come first served."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from . import metrics
from .errors import RequestError

RETRY_SECONDS = 1


class RequestQueue:
    """Lets so many requests in at a time; others wait, or are refused.

    Who waits has not been read yet: a queue takes no memory for images.

    Args:
        num_places: Requests that are worked on at a time.
        max_waiting: Requests that wait.
    """

    def __init__(self, num_places: int, max_waiting: int) -> None:
        self.max_waiting = max_waiting
        self._places = asyncio.Semaphore(num_places)
        self._waiting = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place, and keep it meanwhile.

        Raises:
            RequestError: If too many wait already.
        """
        if self._places.locked() and self._waiting >= self.max_waiting:
            raise RequestError(
                503,
                f'{self._waiting} requests wait already; try again later.',
                RETRY_SECONDS,
            )
        self._waiting += 1
        try:
            with (
                metrics.WAITING.track_inprogress(),
                metrics.STAGES.labels('queue').time(),
            ):
                await self._places.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._places.release()
