"""Asks a server of ``vptm serve``; needs nothing but Python."""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

CALLERS = 16  # at a time; the server puts their images into one batch
BUSY = (429, 503)


def read_token(path: str | Path) -> str:
    """Read a token.

    Raises:
        ValueError: If there is none in the file.
    """
    token = Path(path).expanduser().read_text('utf-8').strip()
    if not token:
        raise ValueError(f'--token-file {path} is empty; write a token to it.')
    return token


class ServerError(OSError):
    """What a server refused, or that it cannot be reached.

    Args:
        status: Of HTTP; 0 if it cannot be reached.
        text: Why.
        retry_after: Seconds after which it may succeed.
    """

    def __init__(self, status: int, text: str, retry_after: float = 1) -> None:
        super().__init__(text)
        self.status = status
        self.retry_after = retry_after


class Client:
    """A server, as its callers see it.

    Args:
        url: As in ``http://127.0.0.1:8000``.
        token: Its bearer token, if it asks for one.
        timeout: Seconds to wait for an answer.
        patience: Seconds to try again while it is busy.

    Example:
        >>> client = Client('http://127.0.0.1:8000')
        >>> client.tasks()
        ['birds', 'dogs']
        >>> client.predict(Path('a.jpg').read_bytes(), ['birds'], topk=1)
        {'birds': [{'label': 'Sooty_Albatross', 'score': 0.93}]}
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        timeout: float = 60,
        patience: float = 60,
    ) -> None:
        self.url = url.rstrip('/')
        self.token = token
        self.timeout = timeout
        self.patience = patience

    def tasks(self) -> list[str]:
        """Return the names of the tasks."""
        return self.call('GET', '/v1/tasks')['tasks']

    def describe(self, name: str) -> dict[str, Any]:
        """Return classes, size and encoder of a task."""
        return self.call('GET', f'/v1/tasks/{quote(name, "")}')

    def put(self, name: str, content: bytes) -> dict[str, Any]:
        """Add or replace a task; return its description."""
        return self.call('PUT', f'/v1/tasks/{quote(name, "")}', content)

    def delete(self, name: str) -> None:
        """Remove a task."""
        self.call('DELETE', f'/v1/tasks/{quote(name, "")}')

    def predict(
        self, image: bytes, tasks: Sequence[str], topk: int = 5
    ) -> dict[str, list[dict[str, Any]]]:
        """Classify an image; return labels and scores for each task."""
        query = urlencode(dict(task=tasks, topk=topk), doseq=True)
        answers = self.call('POST', f'/v1/predict?{query}', image)['answers']
        return {one['task']: one['predictions'][0] for one in answers}

    def predict_files(
        self, paths: Iterable[Path], tasks: Sequence[str], topk: int = 5
    ) -> Iterator[tuple[Path, dict[str, Any] | OSError]]:
        """Classify files; yield results, or why there is none, in order.

        Raises:
            ServerError: If the server fails, or knows no such task.
        """

        def ask(path: Path) -> dict[str, Any] | OSError:
            try:
                return self.predict(path.read_bytes(), tasks, topk)
            except ServerError as error:
                if error.status in (400, 413, 422):  # of this image
                    return error
                raise
            except OSError as error:
                return error

        paths = list(paths)
        with ThreadPoolExecutor(CALLERS) as callers:
            yield from zip(paths, callers.map(ask, paths), strict=True)

    def call(
        self, method: str, path: str, content: bytes | None = None
    ) -> dict[str, Any]:
        """Return an answer; while the server is busy, try again.

        Raises:
            ServerError: If the server refuses, or cannot be reached.
        """
        end = time.monotonic() + self.patience
        while True:
            try:
                return self._call(method, path, content)
            except ServerError as error:
                left = end - time.monotonic()
                if error.status not in BUSY or left < error.retry_after:
                    raise
                time.sleep(error.retry_after)

    def _call(
        self, method: str, path: str, content: bytes | None
    ) -> dict[str, Any]:
        headers = {'Content-Type': 'application/octet-stream'}
        if self.token:
            headers['Authorization'] = f'Bearer {self.token}'
        request = Request(self.url + path, content, headers, method=method)
        try:
            with urlopen(request, timeout=self.timeout) as response:
                return json.loads(response.read())
        except HTTPError as error:
            raise _refusal(self.url, error) from error
        except (URLError, HTTPException, ValueError, OSError) as error:
            reason = getattr(error, 'reason', error)
            raise ServerError(
                0, f'{self.url} does not answer as a server of vptm ({reason})'
            ) from error


def _refusal(url: str, error: HTTPError) -> ServerError:
    text = error.read().decode(errors='replace')
    try:
        text = json.loads(text)['error']
    except (ValueError, KeyError, TypeError):  # of a proxy before it
        text = ' '.join(text.split())[:200]
    after = error.headers.get('Retry-After', '')
    return ServerError(
        error.code,
        f'{url}: {text} (status {error.code})',
        float(after) if after.isdigit() else 1,
    )
