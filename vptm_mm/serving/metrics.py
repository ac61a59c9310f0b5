"""What a server counts, for Prometheus; of all its replicas on a machine.

Replicas write to files of one folder, which ``PROMETHEUS_MULTIPROC_DIR``
names before this module is imported; whichever is asked reads all of them.
"""

import os
from pathlib import Path

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import (
    MultiProcessCollector,
    mark_process_dead,
)

FOLDER = 'PROMETHEUS_MULTIPROC_DIR'
COUNTS = (1, 2, 4, 8, 16, 32, 64, 128)
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)

REQUESTS = Counter('vptm_requests', 'Requests, by status.', ['status'])
BATCH_IMAGES = Histogram(
    'vptm_batch_images', 'Images in a batch.', buckets=COUNTS
)
BATCH_TASKS = Histogram(
    'vptm_batch_tasks', 'Tasks in a batch.', buckets=COUNTS
)
WAITING = Gauge(
    'vptm_requests_waiting',
    'Requests that wait for a place.',
    multiprocess_mode='livesum',
)
STAGES = Histogram(
    'vptm_stage_seconds',
    'Of a request: queue, tasks, image, batch with its wait; of a batch: '
    'model.',
    ['stage'],
    buckets=SECONDS,
)


def forget_dead_replicas() -> None:
    """Take what replicas that were killed had waiting out of the sum."""
    for path in Path(os.environ.get(FOLDER, os.devnull)).glob('gauge_*.db'):
        pid = path.stem.rpartition('_')[2]
        if not Path('/proc', pid).exists():
            mark_process_dead(int(pid))


def exposition() -> bytes:
    """Return all of it in Prometheus's text format."""
    if FOLDER not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return generate_latest(registry)
