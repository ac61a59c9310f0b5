"""The tasks of a store on one backbone: loaded when asked for, and forgotten.

Bookkeeping is done on the event loop. The pool is changed and run by one
thread; others read files and prepare images.
"""

import asyncio
import difflib
import hashlib
import itertools
import sys
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np

from ..tasks import Task, VPTMTaskPool, frozen_init, read_task
from ..tasks.pool import Prediction, PreparedImage
from ..weights import count_visual_tokens
from ..weights.checkpoint_file import SUFFIX
from ..weights.identity import OtherEncoderError
from . import metrics
from .errors import RequestError
from .task_store import StoredTask, StoreError, TaskStore, require_name

POLL_SECONDS = 2
RETRY_SECONDS = 5
MAX_PROMPTS = 1000  # at a block: attention takes its square
MAX_SIDE = 4096  # of an image on its way, in pixels
MAX_ANSWERS = 128  # of a run of the backbone: each may be a sequence
Result = dict[str, Prediction] | Exception
T = TypeVar('T')


@dataclass(eq=False)
class ServedTask:
    """A task that is in memory.

    Args:
        name: Its name.
        key: Its name in the pool, where two versions may be at a time.
        stored: Its file.
        sha256: Digest of the file.
        task: What the file says, without tensors.
        num_bytes: Size of its tensors.
        users: Requests that are being answered by it.
        is_current: Whether new requests get it.
    """

    name: str
    key: str
    stored: StoredTask
    sha256: str
    task: Task
    num_bytes: int
    users: int = 0
    is_current: bool = True


class ServedTasks:
    """The tasks of a store, on one backbone.

    The backbone is that of the oldest task that could be loaded.

    Args:
        store: Where the files are.
        weights: Path or address of the pre-trained weights; those that the
            first task names by default.
        device: As in torch.
        dtype: Of the frozen blocks; as each task was tuned by default.
        max_tasks: Keep so many in memory: those that were used last.
        num_threads: How many prepare images.
    """

    def __init__(
        self,
        store: TaskStore,
        weights: str | None = None,
        device: str = 'cpu',
        dtype: str | None = None,
        max_tasks: int = 1000,
        num_threads: int = 2,
    ) -> None:
        self.store = store
        self.weights = weights
        self.device = device
        self.dtype = dtype
        self.max_tasks = max_tasks
        self.pool: VPTMTaskPool | None = None
        self.stored: dict[str, StoredTask] = {}
        self.loaded: OrderedDict[str, ServedTask] = OrderedDict()
        self.problem = ''
        self.idle = asyncio.Event()  # whether no batch runs
        self.idle.set()
        self._refreshed = 0.0
        self._numbers = itertools.count()
        self._readers = ThreadPoolExecutor(num_threads, 'reader')
        # Apart: a store may hang.
        self._files = ThreadPoolExecutor(2, 'store')
        self._model = ThreadPoolExecutor(1, 'model')
        self._refreshing = asyncio.Lock()
        self._loading = asyncio.Lock()

    async def start(self) -> None:
        """Look what is there, and load the first task that can be."""
        await self._look()

    async def poll(self) -> None:
        """Look from time to time what has changed, until cancelled."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            await self._look()

    async def _look(self) -> None:
        try:
            await self.refresh()
            await self._load_any()
        except RequestError as error:
            self._report(str(error))
        except Exception as error:  # whatever it is, looking goes on
            self._report(f'{type(error).__name__}: {error}')
        else:
            self.problem = ''

    async def _load_any(self) -> None:
        """Load the oldest task that can be, if none is: its encoder is ours.

        One that comes later must not take over when a replica starts again.

        Raises:
            RequestError: If none can be, the first reason.
        """
        problem = None
        for name in sorted(self.stored, key=lambda k: self.stored[k].version):
            if self.loaded:
                return
            try:
                async with self.held([name]):
                    return
            except RequestError as error:
                problem = problem or error
        if problem:
            raise problem

    def _report(self, problem: str) -> None:
        if problem != self.problem:
            print(problem, file=sys.stderr, flush=True)
        self.problem = problem

    async def refresh(self) -> None:
        """Look what is in the store; callers at the same time share it.

        Raises:
            RequestError: If the store cannot be read.
        """
        asked = time.monotonic()
        async with self._refreshing:
            if self._refreshed > asked:
                return
            started = time.monotonic()
            self.stored = await self._ask_store(self.store.tasks)
            self._refreshed = started
        for name, served in [*self.loaded.items()]:
            if self.stored.get(name) != served.stored:
                self._drop(name)

    async def find(self, name: str) -> StoredTask:
        """Return the file of a task.

        Raises:
            RequestError: If there is none.
        """
        if name not in self.stored:
            await self.refresh()
        if name not in self.stored:
            near = difflib.get_close_matches(name, self.stored, 1)
            hint = f'; the nearest name is {near[0]!r}.' if near else '.'
            raise RequestError(404, f'there is no task {name!r}{hint}')
        return self.stored[name]

    @asynccontextmanager
    async def held(
        self, names: Sequence[str]
    ) -> AsyncIterator[list[ServedTask]]:
        """Load tasks, and keep them in memory meanwhile.

        Raises:
            RequestError: If one is unknown or cannot be loaded.
        """
        held: list[ServedTask] = []
        try:
            with metrics.STAGES.labels('tasks').time():
                for name in names:
                    served = await self._load_once(name)
                    served.users += 1
                    self.loaded.move_to_end(name)
                    held.append(served)
                    self._evict()
            yield held
        finally:
            for served in held:
                served.users -= 1
                self._remove_unused(served)
            self._evict()

    async def _load_once(self, name: str) -> ServedTask:
        stored = await self.find(name)
        if name not in self.loaded:
            async with self._loading:
                if name not in self.loaded:
                    self.loaded[name] = await self._load(name, stored)
        return self.loaded[name]

    async def _load(self, name: str, stored: StoredTask) -> ServedTask:
        try:
            content = await self._ask_store(self.store.read, stored)
        except RequestError:
            await self.refresh()
            await self.find(name)  # it may have gone meanwhile
            raise
        path = Path(stored.path) if self.store.is_local else None
        task = await self.in_thread(self._parse, name, content, path)
        return ServedTask(
            name,
            await self._added_to_pool(task, name),
            stored,
            hashlib.sha256(content).hexdigest(),
            replace(task, tensors={}),
            task.num_bytes,
        )

    def _parse(self, name: str, content: bytes, path: Path | None) -> Task:
        with TemporaryDirectory(prefix='vptm_mm_') as folder:
            file = Path(folder, f'{name}{SUFFIX}')
            file.write_bytes(content)
            try:
                task = read_task(file)
            except ValueError as error:
                text = str(error).replace(str(file), f'task {name!r}')
                raise RequestError(422, text) from error
        _require_modest(name, task)
        if self.dtype:
            backbone = dict(task.backbone, dtype=self.dtype)
            task = replace(task, backbone=backbone)
        return replace(task, path=path)  # its weights may lie beside it

    async def _added_to_pool(self, task: Task, name: str) -> str:
        """Add a task to the pool; return its name there."""
        adding = self._model.submit(self._add, task, name)
        try:
            return await asyncio.wrap_future(adding)
        except asyncio.CancelledError:  # the caller has gone
            self._model.submit(self._undo, adding)
            raise

    def _undo(self, adding: Future[str]) -> None:
        if not adding.cancelled() and not adding.exception():
            self._remove(adding.result())

    def _add(self, task: Task, name: str) -> str:
        """Add a task to the pool and run it; return its name there."""
        key = f'{name} {next(self._numbers)}'
        pool = self.pool
        try:
            pool = self._pool_with(task, key)
            image = np.full((64, 64, 3), 127, np.uint8)
            (result,) = pool.classify([_prepare(pool, image, [key])])
            if not np.isfinite(result[key]['pred_scores']).all():
                raise ValueError('its scores of a grey image are not finite.')
        except Exception as error:  # a config can be wrong in any way
            if pool and key in pool.tasks:
                pool.remove(key)
            raise _refused(name, key, error) from error
        self.pool = pool
        return key

    def _pool_with(self, task: Task, key: str) -> VPTMTaskPool:
        """Add a task to the pool, or to another if its encoder is unused."""
        if self.pool:
            try:
                self.pool.add(task, key)
                return self.pool
            except OtherEncoderError:
                if self.pool.tasks:
                    raise
        pool = self._build(task)
        pool.add(task, key)
        return pool

    def _build(self, task: Task) -> VPTMTaskPool:
        checkpoint = frozen_init(task, self.weights)['checkpoint']
        try:
            num_visual_tokens = count_visual_tokens(checkpoint)
        except ValueError:  # it has none
            num_visual_tokens = None
        pool = VPTMTaskPool.for_task(task, checkpoint, num_visual_tokens)
        return pool.to(self.device)

    def _drop(self, name: str) -> None:
        served = self.loaded.pop(name)
        served.is_current = False
        self._remove_unused(served)

    def _remove_unused(self, served: ServedTask) -> None:
        if not served.is_current and served.users == 0:
            self._model.submit(self._remove, served.key)

    def _remove(self, key: str) -> None:
        if self.pool:
            self.pool.remove(key)

    def _evict(self) -> None:
        if len(self.loaded) <= self.max_tasks:
            return
        for name, served in [*self.loaded.items()]:
            if len(self.loaded) > self.max_tasks and not served.users:
                self._drop(name)

    async def put(self, name: str, content: bytes) -> None:
        """Put a task file into the store, if it can be served.

        Raises:
            RequestError: If the file is refused; nothing changes then.
        """
        try:
            require_name(name)
        except ValueError as error:
            raise RequestError(422, str(error)) from error
        if not self.loaded:  # one that is stored decides on the encoder
            await self._look()
        task = await self.in_thread(self._parse, name, content, None)
        key = await self._added_to_pool(task, name)
        self._model.submit(self._remove, key)
        await self._ask_store(self.store.write, name, content)
        await self.refresh()

    async def remove(self, name: str) -> None:
        """Remove a task from the store.

        Raises:
            RequestError: If there is none of that name.
        """
        await self.find(name)
        await self._ask_store(self.store.remove, name)
        await self.refresh()

    async def added(self, served: ServedTask) -> str | None:
        """Return when a task was put into the store, if that is known."""
        return await self._ask_store(self.store.added, served.stored)

    async def prepare(
        self, read: Callable[[], np.ndarray], tasks: Sequence[ServedTask]
    ) -> PreparedImage:
        """Read an image and make it ready for tasks that are held.

        Raises:
            RequestError: If ``read`` raises it, or their pipelines fail.
        """
        keys = [served.key for served in tasks]
        try:
            return await self.in_thread(
                lambda: _prepare(self.pool, read(), keys)  # type: ignore[arg-type]
            )
        except RequestError:
            raise
        except Exception as error:  # a pipeline can be wrong in any way
            names = ', '.join(served.name for served in tasks)
            raise RequestError(
                422, f'task {names} cannot take this image: {error}'
            ) from error

    async def classify(self, images: Sequence[PreparedImage]) -> list[Result]:
        """Classify images as one batch; one that fails is alone with it."""
        metrics.BATCH_IMAGES.observe(len(images))
        names = {name for image in images for name in image.names}
        metrics.BATCH_TASKS.observe(len(names))
        loop = asyncio.get_running_loop()
        self.idle.clear()
        try:
            with metrics.STAGES.labels('model').time():
                return await loop.run_in_executor(
                    self._model, self._classify, images
                )
        finally:
            self.idle.set()

    def _classify(self, images: Sequence[PreparedImage]) -> list[Result]:
        return [
            result
            for part in in_parts(images)
            for result in self._classify_part(part)
        ]

    def _classify_part(self, images: Sequence[PreparedImage]) -> list[Result]:
        try:
            return [*self.pool.classify(images)]  # type: ignore[union-attr]
        except Exception as error:
            if len(images) == 1:
                return [error]
            return [self._classify_part([image])[0] for image in images]

    async def _ask_store(self, function: Callable[..., T], *args: object) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._files, function, *args)
        except StoreError as error:
            raise RequestError(503, str(error), RETRY_SECONDS) from error

    async def in_thread(self, function: Callable[..., T], *args: object) -> T:
        """Call what parses a file or prepares an image."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, function, *args)


def in_parts(
    images: Sequence[PreparedImage],
) -> Iterator[list[PreparedImage]]:
    """Split a batch whose images are asked of many tasks: of its memory."""
    part: list[PreparedImage] = []
    answers = 0
    for image in images:
        answers += len(image.names)
        if part and answers > MAX_ANSWERS:
            yield part
            part, answers = [], len(image.names)
        part.append(image)
    yield part


def _prepare(
    pool: VPTMTaskPool, image: np.ndarray, keys: Sequence[str]
) -> PreparedImage:
    prepared = pool.prepare(image, keys)
    channels = pool.encoder.patch_embed.projection.in_channels
    shape = (channels, *pool.encoder.img_size)
    for one in prepared.inputs:
        if one.shape != shape:  # it would spoil the batch
            raise ValueError(
                f'its pipeline makes inputs of shape {tuple(one.shape)}, and '
                f'the backbone takes {shape}.'
            )
    return prepared


def _require_modest(name: str, task: Task) -> None:
    """Refuse a task that asks for gigabytes before anything is built."""
    options = {k: v for k, v in task.backbone.items() if k != 'encoder'}
    limits = [
        (key, value, MAX_PROMPTS)
        for key, value in _numbers(options)
        if key.endswith('length')
    ] + [(key, value, MAX_SIDE) for key, value in _numbers(task.pipeline)]
    for key, value, limit in limits:
        if value > limit:
            raise RequestError(
                422, f'task {name!r}: {key}={value} is above {limit}.'
            )


def _numbers(value: Any, key: str = '') -> Iterator[tuple[str, float]]:
    """Yield the numbers in a config, and what they are of."""
    if isinstance(value, dict):
        for name, child in value.items():
            yield from _numbers(child, name)
    elif isinstance(value, (list, tuple)):
        for child in value:
            yield from _numbers(child, key)
    elif isinstance(value, (int, float)):
        yield key, value


def _refused(name: str, key: str, error: Exception) -> RequestError:
    status = 409 if isinstance(error, OtherEncoderError) else 422
    text = str(error).replace(repr(key), repr(name))
    if repr(name) not in text:
        text = f'task {name!r}: {text}'
    return RequestError(status, text)
