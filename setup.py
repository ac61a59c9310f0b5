"""Metadata lives in pyproject.toml; this adds what `mim` looks for."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

ROOT = Path(__file__).resolve().parent
PACKAGE = ROOT / 'vptm_mm'
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


class EditableWithMim(editable_wheel):
    """Link `vptm_mm/.mim` of the clone, and lead `mim` there.

    `mim` looks for a package beside its metadata, under the first name in
    `top_level.txt`. An editable package is elsewhere: its path comes first.
    """

    def run(self):
        link_mim()
        if self.dist_info_dir is None:
            self.dist_dir.mkdir(exist_ok=True)
            dist_info = self.reinitialize_command('dist_info')
            dist_info.output_dir = self.dist_dir
            dist_info.ensure_finalized()
            dist_info.run()
            self.dist_info_dir = dist_info.dist_info_dir
        names = Path(self.dist_info_dir) / 'top_level.txt'
        names.write_text(f'{PACKAGE}\n{PACKAGE.name}\n')
        super().run()


def link_mim():
    for name in MIM:
        link = PACKAGE / '.mim' / name
        link.parent.mkdir(exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(Path('..', '..', name))


setup(cmdclass=dict(build_py=BuildWithMim, editable_wheel=EditableWithMim))
