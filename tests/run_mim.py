"""Run `mim` on an installed wheel and on an editable installation.

    python tests/run_mim.py [--only wheel] [--keep FOLDER]

Each is installed into a new virtual environment, which sees the packages of
the interpreter that runs this, all but vptm_mm. Prints one line a command; the
exit code is 1 if one failed. It needs pip and takes some minutes.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What setup.py and pyproject.toml read.
SOURCES = ('vptm_mm', 'configs', 'tools', 'model-index.yml', 'MANIFEST.in')
SOURCES += ('setup.py', 'pyproject.toml', 'README.md', 'LICENSE')
# As docs/train.md says it.
OPENMIM = 'openmim==0.3.9'
IMPORTED = ('click', 'colorama', 'model-index', 'pandas', 'requests')
IMPORTED += ('tabulate', 'setuptools<82')
CONFIG = 'vptm_beitv2-tiny_digits.py'
OPTIONS = (
    '--cfg-options',
    'train_cfg.max_epochs=1',
    'train_dataloader.dataset.indices=64',
    'train_dataloader.batch_size=32',
    'val_dataloader.dataset.indices=33',
    'test_dataloader.dataset.indices=33',
)
TESTED = (OPTIONS[0], OPTIONS[-1])
TWO = ('--launcher', 'pytorch', '--gpus', '2')


def commands(config: str) -> list[tuple[str, ...]]:
    """What is run, in this order, in one folder.

    Args:
        config: Path of the config, for the package ``mmpretrain``.
    """
    checkpoint = ('--checkpoint', 'one/epoch_1.pth')
    rate = 'optim_wrapper.optimizer.lr'
    return [
        ('search', 'vptm_mm', '--config', Path(CONFIG).stem),
        ('train', 'vptm_mm', CONFIG, '--work-dir', 'one', *OPTIONS),
        ('train', 'vptm_mm', CONFIG, *TWO, '--work-dir', 'two', *OPTIONS),
        ('test', 'vptm_mm', CONFIG, *checkpoint, *TESTED),
        ('test', 'vptm_mm', CONFIG, *checkpoint, *TWO, *TESTED),
        ('train', 'mmpretrain', config, '--work-dir', 'three', *OPTIONS),
        ('train', 'mmpretrain', config, *TWO, '--work-dir', 'four', *OPTIONS),
        ('test', 'mmpretrain', config, *checkpoint, *TESTED),
        ('test', 'mmpretrain', config, *checkpoint, *TWO, *TESTED),
        (
            *('gridsearch', 'vptm_mm', CONFIG, '--work-dir', 'grid'),
            *('--search-args', f'--{rate} 0.01 0.1', *OPTIONS),
        ),
    ]


def copy_clone(folder: Path) -> Path:
    """Copy what an installation reads; the clone stays as it is."""
    clone = folder / 'clone'
    clone.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            made = shutil.ignore_patterns('__pycache__', '.mim')
            shutil.copytree(ROOT / name, clone / name, ignore=made)
        else:
            shutil.copy2(ROOT / name, clone / name)
    return clone


def make_environment(folder: Path, kind: str) -> Path:
    """Create it and install; return its folder of programs."""
    venv.create(folder / 'venv', with_pip=True)
    programs = folder / 'venv' / 'bin'
    python = str(programs / 'python')
    site = subprocess.run(
        [python, '-c', 'import sysconfig as s; print(s.get_path("purelib"))'],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    # Behind its own packages; a .pth file there is not read.
    shared = Path(site) / 'shared.pth'
    shared.write_text(sysconfig.get_path('purelib') + '\n')
    pip = [python, '-m', 'pip', 'install', '--quiet']
    subprocess.run([*pip, *IMPORTED], check=True)
    pip.append('--no-deps')
    subprocess.run([*pip, OPENMIM], check=True)
    clone = copy_clone(folder)
    package = [str(clone)] if kind == 'wheel' else ['-e', str(clone)]
    subprocess.run([*pip, *package], check=True)
    if kind == 'wheel':
        shutil.rmtree(clone)
    return programs


def run(programs: Path, command: tuple[str, ...], cwd: Path) -> str:
    """Run a command; return what it found, or how it failed."""
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    environment.pop('PYTHONPATH', None)
    result = subprocess.run(
        [str(programs / 'mim'), *command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
    )
    output = result.stdout + result.stderr
    if result.returncode:
        print(output[-3000:], file=sys.stderr)
        return 'FAILED'
    found = re.findall(r'Epoch\(test\).*accuracy/top1: ([\d.]+)', output)
    if command[0] == 'search':
        return 'found' if Path(CONFIG).stem in output else 'FAILED'
    return f'tested, top-1 {", ".join(found)}' if found else 'FAILED'


def check(kind: str, folder: Path) -> bool:
    """Install, run all commands, print a line for each."""
    programs = make_environment(folder, kind)
    cwd = folder / 'elsewhere'
    cwd.mkdir()
    package = subprocess.run(
        [programs / 'python', '-c', 'import vptm_mm; print(vptm_mm.__path__)'],
        cwd=cwd,
        check=True,
        capture_output=True,
        text=True,
        env={k: v for k, v in os.environ.items() if k != 'PYTHONPATH'},
    ).stdout.split("'")[-2]
    if not package.startswith(str(folder)):
        raise RuntimeError(f'{package} is not below {folder}')
    fine = True
    for command in commands(f'{package}/.mim/configs/{CONFIG}'):
        start = time.perf_counter()
        outcome = run(programs, command, cwd)
        fine &= outcome != 'FAILED'
        seconds = time.perf_counter() - start
        shown = ' '.join(command).partition(' --cfg-options')[0]
        shown = shown.replace(package, 'PACKAGE')
        print(f'| {kind} | `mim {shown}` | {outcome} | {seconds:.0f} s |')
        sys.stdout.flush()
    return fine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--only', choices=['wheel', 'editable'])
    parser.add_argument('--keep', type=Path, help='folder to leave all in')
    args = parser.parse_args()
    kinds = [args.only] if args.only else ['wheel', 'editable']
    fine = True
    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds:
            root = (args.keep or Path(folder)).resolve() / kind
            root.mkdir(parents=True)
            fine &= check(kind, root)
    sys.exit(not fine)


if __name__ == '__main__':
    main()
