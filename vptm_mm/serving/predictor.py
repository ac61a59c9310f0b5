"""Answers requests for predictions."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np

from ..tasks.pool import Prediction, PreparedImage
from ..upload import Limits, TooLargeError, read_upload
from . import metrics
from .errors import RequestError
from .served_tasks import Result, ServedTask, ServedTasks


class Predictor:
    """Classifies uploaded images by tasks.

    Args:
        tasks: The tasks.
        classify: Classifies an image that is ready, in a batch with others.
        limits: Of an image.
    """

    def __init__(
        self,
        tasks: ServedTasks,
        classify: Callable[[PreparedImage], Awaitable[Result]],
        limits: Limits,
    ) -> None:
        self.tasks = tasks
        self.classify = classify
        self.limits = limits

    async def predict(
        self,
        names: Sequence[str],
        uploads: Sequence[tuple[str, bytes]],
        topk: int,
    ) -> list[dict[str, Any]]:
        """Classify each image by each task; return an answer for each task.

        Args:
            names: Of the tasks.
            uploads: Names and contents of the images.
            topk: Classes, the likeliest first.

        Raises:
            RequestError: If a task or an image is refused.
        """
        async with self.tasks.held([*dict.fromkeys(names)]) as held:
            results = await asyncio.gather(
                *(self._classify(*upload, held) for upload in uploads)
            )
        return [
            dict(
                task=served.name,
                predictions=[
                    _top(result[served.key], served.task.classes, topk)
                    for result in results
                ],
                model=dict(sha256=served.sha256, version=served.task.version),
            )
            for served in held
        ]

    async def _classify(
        self, name: str, content: bytes, held: Sequence[ServedTask]
    ) -> dict[str, Prediction]:
        with metrics.STAGES.labels('image').time():
            prepared = await self.tasks.prepare(
                lambda: self._read(name, content), held
            )
        with metrics.STAGES.labels('batch').time():
            # All that come while a batch runs make the next one.
            await self.tasks.idle.wait()
            result = await self.classify(prepared)
        if isinstance(result, Exception):
            raise result
        return result

    def _read(self, name: str, content: bytes) -> np.ndarray:
        try:
            return read_upload(content, self.limits)
        except TooLargeError as error:
            raise RequestError(413, f'{name}: {error}') from error
        except ValueError as error:
            raise RequestError(400, f'{name}: {error}') from error


def _top(
    result: Prediction, classes: Sequence[str], topk: int
) -> list[dict[str, Any]]:
    scores = result['pred_scores']
    return [
        dict(label=classes[i], score=float(scores[i]))
        for i in np.argsort(-scores, kind='stable')[:topk]
    ]
