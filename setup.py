"""Metadata lives in pyproject.toml; this adds what `mim` looks for."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
MIM = ('configs', 'tools', 'model-index.yml')


class BuildWithMim(build_py):
    """Copy configs, tools and the model index to `vptm_mm/.mim` of a wheel."""

    def run(self):
        super().run()
        if self.editable_mode:
            return
        for name in MIM:
            source = ROOT / name
            target = Path(self.build_lib) / 'vptm_mm' / '.mim' / name
            if source.is_dir():
                skip = shutil.ignore_patterns('__pycache__')
                shutil.copytree(
                    source, target, ignore=skip, dirs_exist_ok=True
                )
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)


setup(cmdclass=dict(build_py=BuildWithMim))
