"""A server of ``vptm serve`` in another process, and callers that load it."""

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[1]
REPLICA = 'ray::ServeReplica'
STARTED = 'Serving at '


@dataclass
class Load:
    """What callers saw.

    Args:
        seconds: How long they called.
        latencies: Of each request, in seconds.
        batches: How many batches the server ran.
        images: Images in all of them.
        tasks: Tasks in them, added up.
    """

    seconds: float = 0
    latencies: list[float] = field(default_factory=list)
    batches: float = 0
    images: float = 0
    tasks: float = 0

    def add(self, other: 'Load') -> None:
        """Take in what callers saw in another round."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def row(self) -> dict[str, float]:
        """Return rates, latencies in milliseconds, and what batches held."""
        p50, p95, p99 = (
            np.percentile(self.latencies, (50, 95, 99)) * 1000
        ).tolist()
        found = {
            'images/s': len(self.latencies) / self.seconds,
            'p50 ms': p50,
            'p95 ms': p95,
            'p99 ms': p99,
        }
        if self.batches:
            found['images in a batch'] = self.images / self.batches
            found['tasks in a batch'] = self.tasks / self.batches
        return found


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Args:
        port: Where it listens, on this machine.
    """

    port: int

    def port_of(self, task: str) -> int:
        """Return where the requests of a task go."""
        return self.port

    def batches(self) -> tuple[float, float, float]:
        """Return how many batches it ran, and images and tasks in them."""
        address = f'http://127.0.0.1:{self.port}/metrics'
        with urlopen(address, timeout=60) as response:
            text = response.read().decode()
        values = {
            sample.name: sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        return tuple(  # type: ignore[return-value]
            values.get(f'vptm_batch_{name}', 0.0)
            for name in ('images_count', 'images_sum', 'tasks_sum')
        )

    def ask(
        self, callers: int, names: Sequence[str], image: bytes, seconds: float
    ) -> Load:
        """Let callers ask one request after the other, of random tasks."""
        before = self.batches()
        since = time.perf_counter()

        def call(caller: int) -> list[float]:
            choose = random.Random(caller).choice
            taken = []
            opened: dict[int, HTTPConnection] = {}
            while time.perf_counter() - since < seconds:
                name = choose(names)
                port = self.port_of(name)
                if port not in opened:
                    opened[port] = _connect(port)
                taken.append(_ask_once(opened[port], name, image))
            for connection in opened.values():
                connection.close()
            return taken

        with ThreadPoolExecutor(callers) as pool:
            found = [*pool.map(call, range(callers))]
        passed = time.perf_counter() - since
        latencies = [one for taken in found for one in taken]
        counts = np.subtract(self.batches(), before).tolist()
        return Load(passed, latencies, *counts)

    def warm_up(self, names: Sequence[str], image: bytes) -> None:
        """Ask every task once, so that it is in memory."""
        for name in names:
            connection = _connect(self.port_of(name))
            _ask_once(connection, name, image)
            connection.close()


@dataclass(frozen=True)
class ServerOfEachTask(Server):
    """A server for each task: the callers know which.

    Args:
        ports: Of each task's server.
    """

    ports: Mapping[str, int] = field(default_factory=dict)

    def port_of(self, task: str) -> int:
        """Return the port of a task's own server."""
        return self.ports[task]


def _connect(port: int) -> HTTPConnection:
    return HTTPConnection('127.0.0.1', port, timeout=300)


def _ask_once(connection: HTTPConnection, name: str, image: bytes) -> float:
    """Ask for a prediction; return the seconds that it took."""
    since = time.perf_counter()
    connection.request('POST', f'/v1/tasks/{name}/predict?topk=1', image)
    response = connection.getresponse()
    content = response.read()
    taken = time.perf_counter() - since
    if response.status != 200:
        raise RuntimeError(f'{response.status}: {content[:200]!r}')
    return taken


@contextmanager
def serving(
    tasks: Path, weights: str | Path, *flags: object, **environment: str
) -> Iterator[Server]:
    """Start ``vptm serve`` on a folder of task files; end it afterwards.

    Args:
        tasks: The folder.
        weights: Path or address of the pre-trained weights.
        *flags: More of its flags.
        **environment: More variables.

    Raises:
        RuntimeError: If it does not start.
    """
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    words = ('serve', '--tasks', tasks, '--weights', weights, '--port', port)
    process = subprocess.Popen(
        [sys.executable, '-m', 'vptm_mm', *map(str, (*words, *flags))],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        for line in process.stdout or ():
            if line.startswith(STARTED):
                break
        else:
            raise RuntimeError(f'no server: exit code {process.wait()}')
        yield Server(port)
    finally:
        process.terminate()
        process.wait()


def take_turns(
    runs: Mapping[Any, Callable[[], Load]], rounds: int
) -> dict[Any, Load]:
    """Load in turn, in another order each round; add up what was seen."""
    loads = {key: Load() for key in runs}
    order = list(runs)
    for number in range(rounds):
        random.Random(number).shuffle(order)
        for key in order:
            loads[key].add(runs[key]())
            rate = loads[key].row()['images/s']
            print(
                f'round {number + 1}, {key}: {rate:.1f} images/s so far',
                file=sys.stderr,
                flush=True,
            )
    return loads


def replica_mb() -> float:
    """Return the memory of all replicas on this machine, in MB."""
    total = 0
    for path in Path('/proc').glob('[0-9]*/cmdline'):
        try:
            if REPLICA in path.read_text():
                pages = path.with_name('statm').read_text().split()[1]
                total += int(pages) * os.sysconf('SC_PAGE_SIZE')
        except OSError:  # it has ended meanwhile
            continue
    return total / 1e6
