#!/usr/bin/env python3
"""Run the tests with other versions of Python, torch, numpy and the host.

    python3 .ci/versions.py                        # every row, all tests
    python3 .ci/versions.py oldest --tests quick   # one row, no slow tests
    python3 .ci/versions.py oldest --tests core    # a part of them

A row is a copy of the tracked files, in which tests/run.sh runs with the row's
Python, stack and pins. The last lines are a table of versions and counts. Exit
status: 0 if every row passed, 1 if one failed, or could not run because its
Python is not there; with --skip-missing such a row fails nothing.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
# Tests of what leans on torch, numpy and the host: models, files, hooks,
# configs, and the tools from training to predictions.
CORE = [
    'tests/nn',
    'tests/models',
    'tests/weights',
    'tests/tasks',
    'tests/engine/test_checkpoint_check.py',
    'tests/engine/test_class_means.py',
    'tests/engine/test_hooks.py',
    'tests/engine/test_resumable_checkpoint.py',
    'tests/engine/test_task_files.py',
    'tests/test_configs.py',
    'tests/test_host.py',
    'tests/verbs/test_tools.py',
]
CHOICES = {
    'all': [],
    'none': ['--version'],  # installs, in a folder to --keep
    'quick': ['-m', 'not slow'],
    'core': ['-m', 'not slow', *CORE],
}
HEAD = (
    '| row | commit | tests | Python | torch | numpy | mmengine | mmpretrain '
    '| mmcv | passed | failed | skipped |'
)


@dataclass(frozen=True)
class Row:
    """Versions to test.

    Args:
        python: As in ``python3.10``.
        stack: The extra of pyproject.toml that installs the host.
        pins: Constraints for pip; without any it takes what is newest, not
            requirements/tested.txt.
    """

    python: str
    stack: str = 'openmmlab'
    pins: tuple[str, ...] = ()


ROWS = {
    # The lower bounds of pyproject.toml.
    'oldest': Row(
        '3.10',
        pins=(
            'torch==2.6.0',
            'torchvision==0.21.0',
            'numpy==1.26.4',
            'mmcv-lite==2.1.0',
        ),
    ),
    'newest': Row('3.11'),
    'onedl': Row('3.11', stack='onedl'),
    'python3.12': Row('3.12'),
    'python3.13': Row('3.13'),
}
VERSIONS = """
from importlib.metadata import distributions
from platform import python_version
found = {d.name: d.version for d in distributions()}
print(python_version())
for name in ('torch', 'numpy', 'mmengine', 'mmpretrain', 'mmcv'):
    names = (name, f'onedl-{name}', f'{name}-lite')
    print(*(f'{n} {found[n]}' for n in names if n in found))
"""


def environment(row: Row, folder: Path) -> dict[str, str]:
    """This environment, with the row's Python, stack and pins in it."""
    variables = dict(
        PYENV_VERSION=row.python,
        PYTHON=f'python{row.python}',
        STACK=row.stack,
    )
    constraints = folder / 'constraints.txt'
    constraints.write_text('\n'.join(row.pins))
    variables['CONSTRAINTS'] = str(constraints)
    return {**os.environ, **variables}


def run_row(row: Row, tests: str, folder: Path) -> tuple[bool, list[str]]:
    """Install and test in this folder; return success, and cells to print."""
    files = subprocess.check_output(['git', 'ls-files', '-z'], cwd=ROOT)
    subprocess.run(
        ['xargs', '-0', 'cp', '--parents', '-t', folder],
        input=files,
        cwd=ROOT,
        check=True,
    )
    commit = subprocess.check_output(
        ['git', 'describe', '--always', '--dirty'], cwd=ROOT, text=True
    )
    code = subprocess.run(
        ['tests/run.sh', '--junitxml=report.xml', *CHOICES[tests]],
        env=environment(row, folder),
        cwd=folder,
    ).returncode
    if tests == 'none':
        return code == 0, ['failed to install' if code else 'installed']
    report = folder / 'report.xml'
    if not report.exists():
        return False, ['failed before the tests']
    suite = next(ElementTree.parse(report).iter('testsuite')).attrib
    skipped = int(suite['skipped'])
    failed = int(suite['failures']) + int(suite['errors'])
    counts = int(suite['tests']) - failed - skipped, failed, skipped
    versions = subprocess.check_output(
        [folder / '.venv' / 'bin' / 'python', '-c', VERSIONS], text=True
    )
    return code == 0, [
        commit.strip(),
        tests,
        *versions.splitlines(),
        *map(str, counts),
    ]


def has_python(row: Row, folder: Path) -> bool:
    """Whether the row's Python runs; the name alone may be a stub's."""
    return not subprocess.run(
        ['bash', '-c', f'python{row.python} --version'],
        env=environment(row, folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ).returncode


def main() -> int:
    """Run the rows that the command line names, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument('rows', nargs='*', help=f'of {", ".join(ROWS)}')
    parser.add_argument('--tests', choices=CHOICES, default='all')
    parser.add_argument('--skip-missing', action='store_true')
    parser.add_argument(
        '--keep', type=Path, help='folder of the rows, for another call'
    )
    args = parser.parse_args()
    if unknown := set(args.rows) - set(ROWS):
        parser.error(f'{sorted(unknown)} must be of {list(ROWS)}.')
    passed = True
    table = [HEAD, '|---' * HEAD.count(' | ') + '|---|']
    for name in args.rows or ROWS:
        row = ROWS[name]
        print(f'\n== {name} ==', flush=True)
        with tempfile.TemporaryDirectory() as temporary:
            folder = (args.keep or Path(temporary)).resolve() / name
            folder.mkdir(parents=True, exist_ok=True)
            if has_python(row, folder):
                success, cells = run_row(row, args.tests, folder)
            else:
                success = args.skip_missing
                cells = [f'NOT RUN: no python{row.python} on this machine']
        passed = passed and success
        table.append('| ' + ' | '.join([name, *cells]) + ' |')
    print('\n' + '\n'.join(table))
    return 0 if passed else 1


if __name__ == '__main__':
    sys.exit(main())
