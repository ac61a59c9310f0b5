"""The host: is MMPretrain there, and do its checkpoints load safely?

What has a private name in the host or in torch is read and changed here, but
for what subclasses override or inherit; ``tests/test_host.py`` says so if a
name is gone.
"""

import copy
import importlib
import warnings
from argparse import Namespace
from pickle import UnpicklingError
from typing import Any

INSTALL = 'pip install "vptm_mm[openmmlab]"'


def require_host() -> None:
    """Import the host packages, or say which command to run.

    Raises:
        ImportError: If one of them is missing or does not import.
    """
    packages = 'cv2', 'mmengine', 'mmcv', 'mmpretrain', 'mmpretrain.models'
    for package in packages:
        try:
            with warnings.catch_warnings():
                # It advises the full mmcv, of which nothing is needed here.
                warnings.filterwarnings(
                    'ignore', 'Fail to import ``MultiSc', module='mmcv'
                )
                importlib.import_module(package)
        # A torch that does not match torchvision, or a foreign mmcv, ends in
        # a RuntimeError or an AssertionError.
        except (ImportError, RuntimeError, AssertionError) as error:
            if 'libGL' in str(error):
                advice = (
                    'OpenCV needs the system library libGL, which servers '
                    'often lack. Run: pip install --force-reinstall --no-deps '
                    'opencv-python-headless'
                )
            elif not isinstance(error, ImportError):
                advice = (
                    'It is installed, but does not fit what is beside it. In '
                    f'a new environment, run: {INSTALL}'
                )
            else:
                advice = (
                    f'vptm_mm is a plugin of MMPretrain. Run: {INSTALL} '
                    '(or vptm_mm[onedl] for the OneDL fork).'
                )
            raise ImportError(
                f'{package} cannot be imported ({error}). {advice}'
            ) from error


def quiet_host() -> None:
    """Leave out what each position bias warns of; say other things once."""
    warnings.filterwarnings('once', 'This DataLoader will create')
    warnings.filterwarnings(
        'ignore', 'torch.meshgrid: in an', module=r'torch\.functional'
    )


def allow_host_checkpoints() -> None:
    """Let ``torch.load(weights_only=True)`` read mmengine's checkpoints.

    It refuses the training history that mmengine writes beside the weights,
    and the arguments that Microsoft's training writes there. Exactly what
    these are made of is allowed.
    """
    from torch import serialization

    serialization.add_safe_globals(
        [(part, name) for name, part in host_globals().items()]
    )


def host_globals() -> dict[str, Any]:
    """Return what checkpoints hold beside tensors, by its full name.

    ``HistoryBuffer`` with its statistics, numpy arrays and scalars, and
    ``argparse.Namespace``.
    """
    import numpy as np
    from mmengine.logging.history_buffer import HistoryBuffer

    types = [type(np.dtype(name)) for name in ('f4', 'f8', 'i4', 'i8', 'b1')]
    allowed: dict[str, Any] = {
        f'{part.__module__}.{part.__qualname__}': part
        for part in (Namespace, HistoryBuffer, np.ndarray, np.dtype, *types)
    }
    # numpy 1 and 2 write the same functions under two names.
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        allowed[f'{module}._reconstruct'] = np.empty(0).__reduce__()[0]
        allowed[f'{module}.scalar'] = np.float64(0).__reduce__()[0]
    # Pickle writes a class's own function as getattr(class, name).
    for module in ('builtins', '__builtin__'):
        allowed[f'{module}.getattr'] = _history_statistic
    return allowed


def _history_statistic(owner: Any, name: str) -> Any:
    """Stand in for ``getattr`` in a checkpoint: for ``HistoryBuffer`` only."""
    from mmengine.logging.history_buffer import HistoryBuffer

    if owner is not HistoryBuffer or name.startswith('_'):
        raise UnpicklingError(
            f'the checkpoint asks for attribute {name!r} of {owner!r}; only '
            'the statistics of HistoryBuffer are allowed.'
        )
    return getattr(owner, name)


def dataset_meta(model: Any) -> dict[str, Any]:
    """Return what ``get_model`` and the inferencer know of the data set.

    They keep it in the model, under a private name: its class names, above
    all, have no other place.
    """
    return getattr(model, '_dataset_meta', None) or {}


def set_dataset_meta(model: Any, meta: dict[str, Any]) -> None:
    """Tell the inferencer what there is to know of the data set."""
    model._dataset_meta = meta


def replace_list(dataset: Any, infos: list[dict], **meta: Any) -> None:
    """Give a built data set another list of images, and other metadata.

    The host has no public way: the list may be in serialized form.
    """
    dataset.data_list = infos
    if dataset.serialize_data:
        content, address = dataset._serialize_data()
        dataset.data_bytes, dataset.data_address = content, address
    dataset._metainfo.update(meta)


def without_slice(dataset: Any) -> Any:
    """Return a data set without the runner's cut to its first batches.

    That wrapper, of ``num_batch_per_epoch``, says it in private only.
    """
    return getattr(dataset, '__dict__', {}).get('_dataset', dataset)


def without_frozen(module: Any) -> Any:
    """Return a copy of a module that lacks its own frozen parameters.

    Its children and tensors are those of the module. torch has no public way
    to leave parameters out of a copy only.
    """
    seen = copy.copy(module)
    seen._parameters = {
        name: parameter
        for name, parameter in module._parameters.items()
        if parameter is not None and parameter.requires_grad
    }
    return seen


def turns_to_rgb(preprocessor: Any) -> bool:
    """Whether a data preprocessor turns BGR into RGB.

    MMPretrain's says so as ``to_rgb``, mmengine's in private only.
    """
    private = getattr(preprocessor, '_channel_conversion', False)
    return bool(getattr(preprocessor, 'to_rgb', private))


def loops_of(runner: Any) -> dict[str, Any]:
    """Return the loops that a runner has: 'train', 'val', 'test'.

    Those that are not built yet are configs: the runner's properties would
    build them.
    """
    loops = dict(
        train=runner._train_loop, val=runner._val_loop, test=runner._test_loop
    )
    return {split: loop for split, loop in loops.items() if loop is not None}


def open_datasets(runner: Any) -> dict[str, Any]:
    """Return the data sets of the loops that are built."""
    from mmengine.runner import BaseLoop

    return {
        split: loop.dataloader.dataset
        for split, loop in loops_of(runner).items()
        if isinstance(loop, BaseLoop)
    }


def asked_to_resume(runner: Any) -> tuple[Any, str | None]:
    """Return whether a run resumes, or ``'auto'``, and from which file."""
    return runner._resume, runner._load_from


def resume_from(runner: Any, path: str | None) -> None:
    """Have a run resume from a file; None to begin."""
    if path is None:
        runner._resume = False
    else:
        runner._load_from = path
