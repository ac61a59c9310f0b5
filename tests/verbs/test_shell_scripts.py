"""The shell scripts, with processes of torchrun and a srun of our own."""

import os
import subprocess
import sys

import pytest

from ..conftest import ROOT
from ..launched import free_port
from .test_tools import metrics, plain_config

# Starts what srun would: as many processes as asked for, on this machine.
SRUN = f"""#!{sys.executable}
import os, subprocess, sys

words = sys.argv[1:]
python = next(i for i, word in enumerate(words) if not word.startswith('-'))
options = dict(word.removeprefix('--').split('=') for word in words[:python])
assert options['partition'] == 'part' and options['job-name'] == 'job'
assert options['gres'] == 'gpu:2' and options['exclusive'] == 'user'
assert options['ntasks-per-node'] == '2' and options['cpus-per-task'] == '5'
processes = [
    subprocess.Popen(
        words[python:],
        env=dict(
            os.environ,
            SLURM_PROCID=str(rank),
            SLURM_LOCALID=str(rank),
            SLURM_NTASKS=options['ntasks'],
            SLURM_NODELIST='node[1-2]',
        ),
    )
    for rank in range(int(options['ntasks']))
]
sys.exit(max(process.wait() for process in processes))
"""
# When the process ends, no thread may be left that still holds tensors.
# One write a process: print() may write its end of line after another's text.
WATCHED_END = r"""
import atexit
import os
from pathlib import Path


def watch():
    names = [p.read_text() for p in Path('/proc/self/task').glob('*/comm')]
    count = sum('gloo' in name for name in names)
    os.write(1, f'gloo threads at the end: {count}\n'.encode())


atexit.register(watch)
"""
OPTIONS = (
    '--cfg-options',
    'train_dataloader.batch_size=16',
    'test_dataloader.dataset.indices=33',
)


def watched_config(cwd) -> None:
    """The plain config; its processes say what threads they end with."""
    path = plain_config(cwd)
    text = path.read_text()
    path.write_text(f"{text}custom_imports = dict(imports='watched_end')\n")
    (cwd / 'watched_end.py').write_text(WATCHED_END)


def searched(cwd) -> str:
    """Where Python looks for modules, with a folder first."""
    return os.pathsep.join([str(cwd), os.environ.get('PYTHONPATH', '')])


def ended_well(output) -> int:
    """How many processes ended without threads of the process group."""
    return output.count('gloo threads at the end: 0\n')


def make_scontrol(folder) -> None:
    """Slurm's own, as far as it is asked: the first node is this machine."""
    path = folder / 'scontrol'
    path.write_text(
        '#!/bin/sh\n'
        '[ "$1 $2 $3" = "show hostname node[1-2]" ] || exit 1\n'
        'echo localhost\n'
    )
    path.chmod(0o755)


def start(script, *args, cwd, **environment) -> subprocess.Popen:
    make_scontrol(cwd)
    (cwd / 'srun').write_text(SRUN)
    (cwd / 'srun').chmod(0o755)
    paths = f'{cwd}{os.pathsep}{os.environ["PATH"]}'
    return subprocess.Popen(
        ['bash', str(ROOT / 'tools' / script), *map(str, args)],
        cwd=cwd,
        env={
            **os.environ,
            'OMP_NUM_THREADS': '1',
            'PATH': paths,
            'PYTHONPATH': searched(cwd),
            'PYTHON': sys.executable,
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process) -> str:
    output, _ = process.communicate()
    assert process.returncode == 0, output[-3000:]
    return output


def test_two_machines(tmp_path):
    """An agent of torchrun a machine; the second starts a little later."""
    watched_config(tmp_path)
    port = free_port()
    machines = [
        start(
            'dist_train.sh',
            *('plain.py', 1, '--work-dir', 'run', *OPTIONS),
            cwd=tmp_path,
            NNODES='2',
            NODE_RANK=str(rank),
            MASTER_ADDR='127.0.0.1',
            PORT=port,
        )
        for rank in range(2)
    ]
    first, second = map(finish, machines)
    assert first.count('Trainable parameters:') == 1
    assert 'Trainable parameters:' not in second
    assert ended_well(first) == ended_well(second) == 1
    assert (tmp_path / 'run' / 'plain.task.safetensors').is_file()


@pytest.mark.slow
def test_the_other_scripts(tmp_path):
    """Trained under Slurm; all test the same."""
    watched_config(tmp_path)
    srun = dict(GPUS='2', SRUN_ARGS='--exclusive=user', PORT=free_port())
    job = ('part', 'job', 'plain.py')
    output = finish(
        start('slurm_train.sh', *job, 'run', *OPTIONS, cwd=tmp_path, **srun)
    )
    assert output.count('Trainable parameters:') == 1
    task = tmp_path / 'run' / 'plain.task.safetensors'
    end = metrics(tmp_path / 'run' / 'test_results.json')
    wanted = ('--out-item', 'metrics', *OPTIONS[::2], '--out')
    finish(
        start(
            *('slurm_test.sh', *job, task, *wanted, 'slurm.json'),
            cwd=tmp_path,
            **srun,
        )
    )
    output = finish(
        start(
            *('dist_test.sh', 'plain.py', task, 2, *wanted, 'dist.json'),
            cwd=tmp_path,
            PORT=free_port(),
        )
    )
    assert ended_well(output) == 2
    results = [
        metrics(tmp_path / f'{name}.json') for name in ('slurm', 'dist')
    ]
    assert results == [end['metrics']] * 2


@pytest.mark.parametrize(
    ('script', 'usage'),
    [
        ('dist_train.sh', 'CONFIG GPUS'),
        ('dist_test.sh', 'CONFIG CHECKPOINT GPUS'),
        ('slurm_train.sh', 'PARTITION JOB_NAME CONFIG WORK_DIR'),
        ('slurm_test.sh', 'PARTITION JOB_NAME CONFIG CHECKPOINT'),
    ],
)
def test_a_script_without_arguments_says_how_to_call_it(
    tmp_path, script, usage
):
    process = start(script, cwd=tmp_path)
    output, _ = process.communicate()
    assert process.returncode != 0
    assert usage in output
