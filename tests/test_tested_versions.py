"""The warning for versions that the tests do not run with."""

import sys
import warnings
from importlib.metadata import PackageNotFoundError

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from vptm_mm import tested_versions
from vptm_mm.tested_versions import TESTED, warn_of_untested_versions

from .conftest import ROOT


@pytest.fixture
def warned_of(monkeypatch):
    """The warnings with these packages installed, and no others."""

    def _warned_of(installed: dict, python=(3, 11, 7)) -> list[str]:
        def version(name):
            if name not in installed:
                raise PackageNotFoundError(name)
            return installed[name]

        monkeypatch.setattr(tested_versions, 'version', version)
        monkeypatch.setattr(sys, 'version_info', (*python, 'final', 0))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            warn_of_untested_versions()
        monkeypatch.undo()
        return [str(warning.message) for warning in caught]

    return _warned_of


@pytest.mark.parametrize(
    'installed',
    [
        dict(mmengine='0.10.7', mmpretrain='1.2.0', torch='2.6.0+cu124'),
        {'onedl-mmengine': '0.10.12', 'torch': '2.15.0.dev20261124'},
        {'mmcv-lite': '2.2.0', 'numpy': '1.26.4'},
        {},
    ],
)
def test_no_word_about_tested_versions(warned_of, installed):
    assert warned_of(installed) == []


@pytest.mark.parametrize(
    ('name', 'version'),
    [
        ('torch', '2.5.1+cu121'),
        ('torch', '3.0.0'),
        ('torch', '2.6.0a0'),
        ('numpy', '1.25.2'),
        ('numpy', '3.0'),
        ('mmengine', '0.10.6'),
        ('onedl-mmengine', '0.11.0'),
        ('mmpretrain', '1.3.0'),
        ('onedl-mmpretrain', '1.3.0'),
        ('mmcv-lite', '2.0.1'),
        ('mmcv-lite', '2.3.0'),
        ('onedl-mmcv', '2.4.0'),
    ],
)
def test_another_version_is_named_with_the_range(warned_of, name, version):
    (text,) = warned_of({name: version})
    oldest, newest, _ = TESTED[name]
    tested = f'(tested: {oldest} to {newest})'
    assert f'with {name} {version} {tested}.' in text


@pytest.mark.parametrize('python', [(3, 9, 18), (3, 14, 0)])
def test_another_python_is_named(warned_of, python):
    (text,) = warned_of({}, python)
    name = '.'.join(map(str, python))
    assert f'Python {name} (tested: 3.10 to 3.13)' in text


def test_one_warning_names_all(warned_of):
    (text,) = warned_of({'torch': '1.13.1', 'mmengine': '0.9.0'}, (3, 14, 1))
    for name in ('Python 3.14.1', 'torch 1.13.1', 'mmengine 0.9.0'):
        assert name in text


def test_pip_installs_no_untested_version():
    tomllib = pytest.importorskip('tomllib', reason='new in Python 3.11')
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    oldest, _, limit = TESTED['Python']
    assert project['requires-python'] == f'>={oldest},<{limit}'
    required = project['dependencies'] + [
        line
        for stack in ('openmmlab', 'onedl')
        for line in project['optional-dependencies'][stack]
    ]
    seen = set()
    for line in map(Requirement, required):
        if line.name in TESTED:
            seen.add(line.name)
            (lowest,) = (
                Version(bound.version)
                for bound in line.specifier
                if bound.operator != '<'
            )
            oldest, newest, _ = map(Version, TESTED[line.name])
            assert oldest <= lowest <= newest, line
    assert seen == set(TESTED) - {'Python'}
