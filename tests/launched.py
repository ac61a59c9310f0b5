"""Tools in processes that are forked from one that has imported the package.

So a run takes a second or two; else the imports take eight more.
"""

import multiprocessing
import os
import runpy
import socket
import sys
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory

import torch

from .conftest import ROOT

CONTEXT = multiprocessing.get_context('forkserver')


def run(script, *args, cwd, check=True, **environment) -> CompletedProcess:
    """Run a script as ``python script`` would, from a folder.

    Returns:
        Exit code, and what went to stdout and to stderr.
    """
    command = [str(script), *map(str, args)]
    variables = {**os.environ, 'OMP_NUM_THREADS': '1', **environment}
    with TemporaryDirectory() as folder:
        logs = [Path(folder, name) for name in ('stdout', 'stderr')]
        process = CONTEXT.Process(
            target=_enter, args=(command, cwd, logs, variables)
        )
        process.start()
        process.join()
        texts = [log.read_text() for log in logs]
    result = CompletedProcess(command, process.exitcode, *texts)
    if check:
        assert result.returncode == 0, result.stderr[-3000:]
    return result


def free_port() -> str:
    with socket.socket() as opened:
        opened.bind(('localhost', 0))
        return str(opened.getsockname()[1])


def variables(launcher: str, rank: int, port: str) -> dict[str, str]:
    """What process ``rank`` of two on this machine gets from a launcher."""
    rank = str(rank)
    return {
        'none': {},
        'pytorch': dict(
            RANK=rank,
            LOCAL_RANK=rank,
            WORLD_SIZE='2',
            MASTER_ADDR='localhost',
            MASTER_PORT=port,
        ),
        'mpi': dict(
            OMPI_COMM_WORLD_RANK=rank,
            OMPI_COMM_WORLD_LOCAL_RANK=rank,
            OMPI_COMM_WORLD_SIZE='2',
            MASTER_ADDR='localhost',
            MASTER_PORT=port,
        ),
    }[launcher]


def launch(tool, *args, cwd, launcher='none', check=True) -> str:
    """Run a tool in two processes, or in one without a launcher.

    Returns:
        What they print.
    """
    port = free_port()
    log = cwd / 'output.txt'
    log.unlink(missing_ok=True)
    command = [str(ROOT / 'tools' / tool), *map(str, args)]
    processes = [
        CONTEXT.Process(
            target=_enter,
            args=(
                [*command, '--launcher', launcher],
                cwd,
                (log, log),
                {
                    **os.environ,
                    'OMP_NUM_THREADS': '1',
                    **variables(launcher, rank, port),
                },
            ),
        )
        for rank in range(1 if launcher == 'none' else 2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    output = log.read_text()
    if check:
        codes = [process.exitcode for process in processes]
        assert not any(codes), output[-3000:]
    return output


def _enter(command, cwd, logs, environment) -> None:
    for stream, log in enumerate(logs, 1):
        flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND
        os.dup2(os.open(log, flags), stream)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    # Else workers of data loaders would be started as this process was.
    multiprocessing.set_start_method(None, force=True)
    torch.set_num_threads(1)
    sys.argv = command
    runpy.run_path(command[0], run_name='__main__')
