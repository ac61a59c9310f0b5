"""The server as an application of Ray Serve.

``serve run vptm_mm.serving.deployment:app tasks=DIR`` and ``serve deploy`` on
a file that ``vptm serve --write-config`` wrote run the same application.
"""

import os
import re
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Literal

import ray
from mmengine.logging import MMLogger
from pydantic import BaseModel
from ray import serve

from ..run_verb import find_device
from ..tasks.pool import PreparedImage
from ..upload import MB, Limits
from .client import read_token

IMPORT_PATH = f'{__name__}:app'
NAME = 'vptm'
FOLDER = 'PROMETHEUS_MULTIPROC_DIR'
MAX_REQUESTS = 10_000  # that a replica waits, works or refuses at a time
QUIET = dict(log_level='WARNING', enable_access_log=False)


class Settings(BaseModel, extra='forbid'):
    """What an application is told.

    Args:
        tasks: Folder or address of the store of tasks.
        weights: Path or address of the pre-trained weights.
        device: As in torch; auto for a GPU if there is one.
        dtype: Of the frozen blocks; as each task was tuned by default.
        max_batch: Images in a batch.
        max_wait_ms: How long a batch waits for more images.
        replicas: Processes that hold the backbone.
        cpus: Cores of a replica.
        gpus: GPUs of a replica, or the share of one.
        max_tasks: Tasks that a replica keeps in memory.
        max_queue: Requests that wait at a replica; others are refused.
        max_mb: Of the body of a request.
        max_pixels: Of an image, width times height.
        token_file: Holds the token that callers must know.
        token_for: ``changes`` or ``all``: what needs the token.
        metrics: Folder of the counts of the replicas on a machine.
    """

    tasks: str
    weights: str | None = None
    device: str = 'auto'
    dtype: str | None = None
    max_batch: int = 32
    max_wait_ms: float = 0
    replicas: int = 1
    cpus: float = 1
    gpus: float = 0
    max_tasks: int = 1000
    max_queue: int = 256
    max_mb: float = 10
    max_pixels: int = 20_000_000
    token_file: str | None = None
    token_for: Literal['changes', 'all'] = 'changes'
    metrics: str | None = None


@serve.deployment
@serve.ingress()
class Server:
    """A replica: a pool, and the interface.

    Args:
        settings: What it is told.
    """

    def __init__(self, settings: Settings) -> None:
        MMLogger.get_current_instance().setLevel('WARNING')
        Path(os.environ[FOLDER]).mkdir(parents=True, exist_ok=True)
        # Behind that: metrics are written there.
        from .api import Access, build_api
        from .predictor import Predictor
        from .queue import RequestQueue
        from .served_tasks import ServedTasks
        from .task_store import TaskStore

        token = None
        if settings.token_file:
            token = read_token(settings.token_file)
        tasks = ServedTasks(
            TaskStore(settings.tasks),
            settings.weights,
            find_device(settings.device),
            settings.dtype,
            settings.max_tasks,
        )

        @serve.batch(
            max_batch_size=settings.max_batch,
            batch_wait_timeout_s=settings.max_wait_ms / 1000,
        )
        async def classify(images: list[PreparedImage]) -> list[Any]:
            return await tasks.classify(images)

        limits = Limits(int(settings.max_mb * MB), settings.max_pixels)
        self.api = build_api(
            Predictor(tasks, classify, limits),
            # One batch runs, and the next one is prepared.
            RequestQueue(2 * settings.max_batch, settings.max_queue),
            limits.max_bytes,
            Access(token, settings.token_for == 'all'),
        )

    def __serve_build_asgi_app__(self) -> Any:
        """Return the interface; named by Ray Serve."""
        return self.api


def app(args: Settings) -> serve.Application:
    """Return the application."""
    cluster = re.sub(r'\W', '_', ray.get_runtime_context().gcs_address)
    folder = args.metrics or f'{gettempdir()}/vptm_mm_metrics_{cluster}'
    server: Any = Server  # what the decorator made of it
    return server.options(
        name=NAME,
        num_replicas=args.replicas,
        # A replica has a queue of its own; Ray's would look for a free
        # replica again and again.
        max_ongoing_requests=MAX_REQUESTS,
        ray_actor_options=dict(
            num_cpus=args.cpus,
            num_gpus=args.gpus,
            runtime_env=dict(env_vars={FOLDER: folder}),
        ),
    ).bind(args)


def cluster_config(settings: Settings, host: str, port: int) -> dict[str, Any]:
    """Return what ``serve deploy`` takes."""
    return dict(
        proxy_location='EveryNode',
        http_options=dict(host=host, port=port),
        logging_config=QUIET,
        applications=[
            dict(
                name=NAME,
                route_prefix='/',
                import_path=IMPORT_PATH,
                args=settings.model_dump(exclude_defaults=True),
            )
        ],
    )
