"""What a wheel carries, and where `mim` finds an editable installation."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from .conftest import ROOT
from .run_mim import commands, copy_clone

pytest.importorskip('setuptools', '77', 'needs setuptools>=77')
# How mim 0.3.9 goes from a package's name to its folder, tools and configs.
FIND = """
import os, sys
from pathlib import Path
import pkg_resources

found = pkg_resources.get_distribution('vptm_mm')
folder = os.path.join(found.location, 'vptm_mm')
if not os.path.exists(folder):
    names = found.get_metadata('top_level.txt')
    folder = os.path.join(found.location, names.split('\\n')[0])
configs = [
    os.path.realpath(os.path.join(root, name))
    for root, _, names in os.walk(folder, followlinks=True)
    for name in names
    if name == 'vptm_beitv2_cub.py'
]
print(folder, os.path.isfile(f'{folder}/.mim/tools/train.py'), *configs)
"""


def build(kind: str, clone, target) -> None:
    """What pip calls, in its order; uv leaves the metadata out."""
    code = f"""
from pathlib import Path
from setuptools import build_meta

target = {str(target)!r}
if {kind!r} == 'wheel':
    build_meta.build_wheel(target)
elif {kind!r} == 'pip':
    name = build_meta.prepare_metadata_for_build_editable(target)
    build_meta.build_editable(target, None, str(Path(target, name)))
else:
    build_meta.build_editable(target)
"""
    subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        cwd=clone,
        check=True,
        capture_output=True,
    )
    (wheel,) = target.glob('*.whl')
    zipfile.ZipFile(wheel).extractall(target / 'site')


@pytest.fixture(scope='module')
def clone(tmp_path_factory):
    return copy_clone(tmp_path_factory.mktemp('source'))


def found_by_mim(site) -> list[str]:
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', FIND],
        cwd=site,
        env={**os.environ, 'PYTHONPATH': str(site)},
        check=True,
        capture_output=True,
        text=True,
    )
    return result.stdout.split()


def test_a_wheel_carries_what_a_clone_has(clone, tmp_path):
    build('wheel', clone, tmp_path)
    site = tmp_path / 'site'
    for folder, names in (
        ('configs', ['*.py', '*.yml']),
        ('tools', ['*.py', '*.sh']),
    ):
        for pattern in names:
            wanted = sorted((ROOT / folder).rglob(pattern))
            assert wanted
            for path in wanted:
                copy = site / 'vptm_mm' / '.mim' / path.relative_to(ROOT)
                assert copy.read_bytes() == path.read_bytes()
    assert (site / 'vptm_mm' / '.mim' / 'model-index.yml').is_file()
    weights = sorted((ROOT / 'vptm_mm').rglob('*.pth'))
    assert weights
    digits = ROOT / 'vptm_mm' / 'datasets' / 'digits.npz'
    cards = (ROOT / 'vptm_mm').rglob('*.md')
    modules = (ROOT / 'vptm_mm').rglob('*.py')
    for path in [*weights, digits, *cards, *modules]:
        assert (site / path.relative_to(ROOT)).is_file(), path
    assert not list(site.rglob('__pycache__'))

    pytest.importorskip('pkg_resources')
    folder = site / 'vptm_mm'
    config = folder / '.mim' / 'configs' / 'vptm_beitv2_cub.py'
    assert found_by_mim(site) == [str(folder), 'True', str(config)]


@pytest.mark.parametrize('frontend', ['pip', 'uv'])
def test_mim_finds_an_editable_installation(clone, tmp_path, frontend):
    pytest.importorskip('pkg_resources')
    build(frontend, clone, tmp_path)
    folder = clone / 'vptm_mm'
    config = clone / 'configs' / 'vptm_beitv2_cub.py'
    assert found_by_mim(tmp_path / 'site') == [
        str(folder),
        'True',
        str(config),
    ]
    # A change in the clone is one of the installation.
    assert (folder / '.mim' / 'tools').resolve() == clone / 'tools'


def test_a_wheel_of_a_clone_that_is_installed_has_no_links(clone, tmp_path):
    (tmp_path / 'editable').mkdir()
    build('uv', clone, tmp_path / 'editable')
    build('wheel', clone, tmp_path)
    tools = tmp_path / 'site' / 'vptm_mm' / '.mim' / 'tools'
    assert (tools / 'train.py').read_bytes() == (
        ROOT / 'tools' / 'train.py'
    ).read_bytes()
    names = zipfile.ZipFile(next(tmp_path.glob('*.whl'))).namelist()
    assert len(names) == len(set(names))


@pytest.mark.slow
@pytest.mark.needs('mim')
@pytest.mark.parametrize('number', range(2))
def test_mim_runs(tmp_path, number):
    """tests/run_mim.py runs all, on both installations."""
    config = ROOT / 'configs' / 'vptm_beitv2-tiny_digits.py'
    command = commands(str(config))[number]
    mim = Path(sys.executable).with_name('mim')
    subprocess.run([mim, *command], cwd=tmp_path, check=True)
