"""Lets a server batch each task apart, as one without mixed batches does.

``RAY_RUNTIME_ENV_HOOK=benchmarks.apart.hook`` in the environment of ``vptm
serve`` does it in all replicas.
"""

import os
from collections import defaultdict
from pathlib import Path
from typing import Any

OF_REPLICAS = 'PROMETHEUS_MULTIPROC_DIR'


def hook(runtime_env: dict | None) -> dict:
    """Let Ray call ``install`` in each process that it starts."""
    setup = dict(worker_process_setup_hook='benchmarks.apart.install')
    return {**(runtime_env or {}), **setup}


def install() -> None:
    """Run a batch for each task, in a replica."""
    if OF_REPLICAS not in os.environ:
        return  # soon: Ray gives up what does not start in 15 s
    # As a replica does before it imports its metrics.
    Path(os.environ[OF_REPLICAS]).mkdir(parents=True, exist_ok=True)
    from vptm_mm.serving.served_tasks import ServedTasks

    together: Any = ServedTasks._classify

    def apart(self: ServedTasks, images: list) -> list:
        places = defaultdict(list)
        for place, image in enumerate(images):
            places[tuple(image.names)].append(place)
        results: list = [None] * len(images)
        for own in places.values():
            found = together(self, [images[place] for place in own])
            for place, result in zip(own, found, strict=True):
                results[place] = result
        return results

    ServedTasks._classify = apart  # type: ignore[method-assign,assignment]
