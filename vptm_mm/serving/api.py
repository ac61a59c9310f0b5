"""The HTTP interface of a server.

Answers and errors are one line of JSON each.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..version import __version__
from . import metrics
from .body import MULTIPART, read_images, read_task
from .errors import RequestError
from .predictor import Predictor
from .queue import RequestQueue
from .served_tasks import ServedTask

FILE = {'schema': {'type': 'string', 'format': 'binary'}}
FILES = {
    'schema': {
        'type': 'object',
        'properties': {
            'image': {
                'type': 'array',
                'items': {'type': 'string', 'format': 'binary'},
            }
        },
    }
}
IMAGES = {
    'requestBody': {
        'required': True,
        'content': {'image/*': FILE, MULTIPART: FILES},
    }
}
TASK = {
    'requestBody': {
        'required': True,
        'content': {'application/octet-stream': FILE},
    }
}
MAX_TASKS = 100  # of a request
Token = Annotated[
    HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))
]


class Asked(BaseModel, extra='forbid'):
    """What is asked of a task."""

    topk: int = Field(5, ge=1, description='classes, the likeliest first')


class AskedOfSeveral(Asked):
    """What is asked of several tasks."""

    task: list[str] = Field(max_length=MAX_TASKS)


class Line(JSONResponse):
    """A line of JSON."""

    def render(self, content: Any) -> bytes:
        """Return the line; what is not text in it is escaped."""
        text = json.dumps(content, ensure_ascii=False, allow_nan=False)
        return f'{text}\n'.encode(errors='backslashreplace')


class CountedRequests:
    """Counts answers by status.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer as ASGI wants it."""

        async def count(message: Message) -> None:
            if message['type'] == 'http.response.start':
                metrics.REQUESTS.labels(message['status']).inc()
            await send(message)

        try:
            await self.app(scope, receive, count)
        except Exception:  # answered by what is around this
            metrics.REQUESTS.labels(500).inc()
            raise


@dataclass(frozen=True)
class Access:
    """Who may do what.

    Args:
        token: Bearer token that changes need; None for none.
        for_all: Whether predictions need it, too.
    """

    token: str | None = None
    for_all: bool = False

    async def require(self, given: Token) -> None:
        """Refuse a caller without the token."""
        text = given.credentials if given else ''
        if self.token is not None and not secrets.compare_digest(
            text.encode('latin-1'), self.token.encode()
        ):
            raise RequestError(
                401,
                'this needs the token of the server: send the header '
                'Authorization: Bearer TOKEN.',
            )

    async def require_for_all(self, given: Token) -> None:
        """Refuse a caller without the token, if all need it."""
        if self.for_all:
            await self.require(given)


def build_api(
    predictor: Predictor, queue: RequestQueue, max_bytes: int, access: Access
) -> FastAPI:
    """Build the interface.

    Args:
        predictor: What it serves.
        queue: Of the requests that bring images or tasks.
        max_bytes: Of the body of a request.
        access: Who may do what.
    """
    tasks = predictor.tasks

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        metrics.forget_dead_replicas()
        await tasks.start()
        polling = asyncio.create_task(tasks.poll())
        yield
        polling.cancel()

    api = FastAPI(title='vptm_mm', version=__version__, lifespan=lifespan)
    for kind, answer in ERRORS.items():
        api.add_exception_handler(kind, answer)
    reads: Any = dict(dependencies=[Depends(access.require_for_all)])
    changes: Any = dict(dependencies=[Depends(access.require)])

    api.add_middleware(CountedRequests)

    @api.post('/v1/tasks/{name}/predict', openapi_extra=IMAGES, **reads)
    async def predict(
        name: str, request: Request, asked: Annotated[Asked, Query()]
    ) -> Line:
        """Classify an image, or several in a form, by a task."""
        async with queue.place():
            images = await read_images(request, max_bytes)
            (answer,) = await predictor.predict([name], images, asked.topk)
        return Line(answer)

    @api.post('/v1/predict', openapi_extra=IMAGES, **reads)
    async def predict_by_several(
        request: Request, asked: Annotated[AskedOfSeveral, Query()]
    ) -> Line:
        """Classify an image, or several in a form, by several tasks."""
        async with queue.place():
            images = await read_images(request, max_bytes)
            answers = await predictor.predict(asked.task, images, asked.topk)
        return Line(dict(answers=answers))

    @api.get('/v1/tasks', **reads)
    async def list_tasks() -> Line:
        """List the names of the tasks."""
        await tasks.refresh()
        return Line(dict(tasks=[*tasks.stored]))

    @api.get('/v1/tasks/{name}', **reads)
    async def describe(name: str) -> Line:
        """Describe a task."""
        async with tasks.held([name]) as (served,):
            return Line(await description(served))

    @api.put('/v1/tasks/{name}', openapi_extra=TASK, **changes)
    async def put_task(name: str, request: Request) -> Line:
        """Add or replace a task."""
        async with queue.place():
            await tasks.put(name, await read_task(request, max_bytes))
        async with tasks.held([name]) as (served,):
            return Line(await description(served))

    @api.delete('/v1/tasks/{name}', **changes)
    async def delete_task(name: str) -> Line:
        """Remove a task."""
        await tasks.remove(name)
        return Line(dict(removed=name))

    @api.get('/healthz')
    async def ready() -> Line:
        """Say whether it can answer."""
        if tasks.pool is None and (tasks.stored or tasks.problem):
            raise RequestError(503, f'no task can be served: {tasks.problem}')
        return Line(dict(status='ready', tasks=len(tasks.stored)))

    @api.get('/metrics', **reads)
    async def show_metrics() -> Response:
        """Show counts and times for Prometheus."""
        content = await tasks.in_thread(metrics.exposition)
        return Response(content, media_type=CONTENT_TYPE_LATEST)

    async def description(served: ServedTask) -> dict[str, Any]:
        task = served.task
        return dict(
            task=served.name,
            classes=task.classes,
            num_bytes=served.num_bytes,
            model=dict(sha256=served.sha256, version=task.version),
            encoder=dict(
                frozen_sha256=task.frozen_sha256, weights=task.weights
            ),
            added=await tasks.added(served),
        )

    return api


async def _refused(_: Request, error: Any) -> Line:
    headers = {}
    if error.retry_after is not None:
        headers['Retry-After'] = str(error.retry_after)
    if error.status == 401:
        headers['WWW-Authenticate'] = 'Bearer'
    return Line(dict(error=str(error)), error.status, headers)


async def _invalid(_: Request, error: Any) -> Line:
    texts = [
        f'{"=".join(map(str, one["loc"]))}: {one["msg"]}'
        for one in error.errors()
    ]
    return Line(dict(error='; '.join(texts)), 422)


async def _unknown(request: Request, error: Any) -> Line:
    text = f'{request.method} {request.url.path}: {error.detail}; see /docs.'
    return Line(dict(error=text), error.status_code, error.headers)


async def _gone(*_: Any) -> Line:
    return Line(dict(error='the caller has gone.'), 400)


async def _failed(_: Request, error: Exception) -> Line:
    text = ' '.join(f'{type(error).__name__}: {error}'.split())
    return Line(dict(error=f'the server failed ({text})'), 500)


ERRORS: dict[type[Exception], Any] = {
    RequestError: _refused,
    RequestValidationError: _invalid,
    HTTPException: _unknown,
    ClientDisconnect: _gone,
    Exception: _failed,
}
