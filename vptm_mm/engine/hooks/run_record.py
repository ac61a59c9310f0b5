"""Writes down what a training run was: command, versions, sizes, data."""

import json
import os
import platform
import shlex
import subprocess
import sys
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch import nn

from ...host import open_datasets
from ...nn import trainable_parameters
from ...version import __version__
from ...weights import write_whole
from ..unwrap import unwrap_model

FILENAME = 'run.json'
PACKAGES = ('torchvision', 'mmengine', 'mmpretrain', 'numpy')


@HOOKS.register_module()
class RunRecordHook(Hook):
    """Write ``run.json`` beside the log, for ``vptm report``.

    It holds the command, the folder it was given in, versions, the git commit
    of a working copy of this package, the device, the seed, the trainable
    parameters, the images and classes of the data sets, and their folders.
    Their number goes to the log, too.
    """

    def before_train(self, runner: Runner) -> None:
        """Write the file from rank 0."""
        if runner.rank != 0:
            return
        model = unwrap_model(runner.model)
        runner.logger.info(_describe_parameters(model))
        record = dict(
            command=shlex.join(['python', *sys.argv]),
            folder=os.getcwd(),
            started=datetime.now().astimezone().isoformat(timespec='seconds'),
            seed=runner.seed,
            processes=get_world_size(),
            device=_device_name(),
            platform=platform.platform(),
            versions=_versions(),
            commit=_commit(),
            tuned={
                name: list(parameter.shape)
                for name, parameter in trainable_parameters(model).items()
            },
            parameters=sum(p.numel() for p in model.parameters()),
            **_data(runner),
        )
        path = Path(runner.log_dir) / FILENAME
        write_whole(path, json.dumps(record, indent=1) + '\n')


def _describe_parameters(model: nn.Module) -> str:
    """Say how much is trained: count, share of all, size."""
    trainable = trainable_parameters(model).values()
    count = sum(p.numel() for p in trainable)
    size = sum(p.numel() * p.element_size() for p in trainable)
    total = sum(p.numel() for p in model.parameters())
    return (
        f'Trainable parameters: {count:,} of {total:,} ({count / total:.3%}), '
        f'{size / 1e3:,.1f} kB.'
    )


def _device_name() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f'CPU, {torch.get_num_threads()} threads'


def _versions() -> dict[str, str]:
    found = dict(
        python=platform.python_version(),
        vptm_mm=__version__,
        torch=str(torch.__version__),  # with the build, which metadata lack
    )
    for package in PACKAGES:
        # The OneDL fork has the same modules in packages of another name.
        for name in (package, f'onedl-{package}'):
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                continue
    return found


def _commit() -> str | None:
    """Return the commit of the package, if it is run from a working copy."""
    folder = Path(__file__).parent

    def git(*command: str) -> str:
        result = subprocess.run(
            ['git', '-C', str(folder), *command],
            capture_output=True,
            text=True,
            check=True,
        )
        return result.stdout.strip()

    try:
        # An installed package may lie in somebody else's working copy.
        git('ls-files', '--error-unmatch', Path(__file__).name)
        return git('describe', '--always', '--dirty', '--abbrev=12')
    except (OSError, subprocess.CalledProcessError):
        return None


def _data(runner: Runner) -> dict:
    images, folders = {}, {}
    # Without a test, its data set is not open.
    for name, dataset in open_datasets(runner).items():
        images[name] = len(dataset)
        prefix = getattr(dataset, 'data_prefix', None) or {}
        folder = prefix.get('img_path') or prefix.get('root')  # CIFAR's
        if folder:
            folders[name] = os.path.abspath(folder)
    dataset = runner.train_dataloader.dataset
    classes = getattr(dataset, 'metainfo', {}).get('classes') or ()
    return dict(
        images=images,
        folders=folders,
        classes=[str(name) for name in classes],
    )
