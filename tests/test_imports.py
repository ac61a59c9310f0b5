"""Imports run one way: tools, engine, tasks, models, weights, nn, torch."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from vptm_mm.run_verb import EXTRAS

from .conftest import ROOT

PACKAGE = ROOT / 'vptm_mm'
FILES = sorted(PACKAGE.rglob('*.py'))
ABOVE = (
    'engine',
    'exporting',
    'visualization',
    'demo',
    'report',
    'serving',
    'pretraining',
    'compare',
)
STANDARD = {
    'collections',
    'dataclasses',
    'hashlib',
    'math',
    'numbers',
    'typing',
}


def imported(path: Path) -> set[str]:
    """Full names of the modules that a file imports."""
    parts = path.relative_to(ROOT).with_suffix('').parts
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = '.'.join(parts[: -node.level]) if node.level else ''
            names.add('.'.join(filter(None, [base, node.module])))
    return names


def in_folder(folder: str) -> list[Path]:
    own = PACKAGE / f'{folder}.py'
    found = [f for f in FILES if f.is_relative_to(PACKAGE / folder)]
    found += [own] * own.is_file()
    assert found
    return found


def test_nn_knows_torch_only():
    for path in in_folder('nn'):
        for name in imported(path):
            root = name.partition('.')[0]
            allowed = name.startswith('vptm_mm.nn') or root in (
                STANDARD | {'torch'}
            )
            assert allowed, f'{path}: {name}'


@pytest.mark.parametrize(
    ('folder', 'forbidden'),
    [
        ('weights', ('models', 'tasks', 'datasets', *ABOVE)),
        ('models', ('tasks', 'datasets', *ABOVE)),
        ('models/backbone.py', ('models.head',)),
        ('models/head.py', ('models.backbone', 'models.flat')),
        ('datasets', ('tasks', 'models', *ABOVE)),
        ('tasks', ('datasets', *ABOVE)),
        ('engine', ('models', 'visualization', 'exporting')),
        ('exporting', ('engine', 'datasets')),
        ('visualization', ('models', 'engine', 'datasets')),
        ('demo', ('engine',)),
        ('serving', ('engine', 'models', 'datasets', 'demo')),
        ('report', ('models', 'engine', 'exporting')),
        ('pretraining', ('models',)),
        ('compare', ('models',)),
    ],
)
def test_layers(folder, forbidden):
    for path in in_folder(folder):
        for name in imported(path):
            names = tuple(f'vptm_mm.{other}' for other in forbidden)
            assert not name.startswith(names), f'{path}: {name}'


def test_only_its_verb_compares():
    verb = PACKAGE / 'verbs' / 'compare.py'
    for path in FILES:
        if path != verb and not path.is_relative_to(PACKAGE / 'compare'):
            for name in imported(path):
                assert not name.startswith('vptm_mm.compare'), path


def test_configs_import_nothing_of_ours():
    configs = sorted((ROOT / 'configs').rglob('*.py'))
    assert configs
    for path in configs:
        assert not any(name.startswith('vptm') for name in imported(path))


def test_package_has_no_assert():
    for path in FILES:
        nodes = ast.walk(ast.parse(path.read_text()))
        assert not any(isinstance(n, ast.Assert) for n in nodes), path


def test_every_module_is_imported_by_the_package():
    for path in FILES:
        parts = path.relative_to(ROOT).with_suffix('').parts
        try:
            importlib.import_module('.'.join(parts).removesuffix('.__init__'))
        except ModuleNotFoundError as error:
            assert path.is_relative_to(PACKAGE / 'serving'), path  # noqa: PT017
            assert EXTRAS[error.name] == 'serve'  # noqa: PT017


def test_the_import_adds_little_to_the_hosts():
    """Scikit-learn and matplotlib alone would take half as long again."""
    code = (
        'import sys, mmpretrain.models; before = set(sys.modules); '
        'import vptm_mm; print(*(set(sys.modules) - before))'
    )
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True
    )
    added = {name.partition('.')[0] for name in result.stdout.split()}
    assert 'vptm_mm' in added
    heavy = {'sklearn', 'scipy', 'matplotlib', 'pandas', 'rich', 'optuna'}
    assert not added & heavy
