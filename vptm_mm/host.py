"""The host: is MMPretrain there, and do its checkpoints load safely?"""

import importlib
from pickle import UnpicklingError
from typing import Any

INSTALL = 'pip install "vptm_mm[openmmlab]"'


def require_host() -> None:
    """Import the host packages, or say which command to run.

    Raises:
        ImportError: If one of them is missing or does not import.
    """
    for package in ('cv2', 'mmengine', 'mmcv', 'mmpretrain'):
        try:
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


def allow_host_checkpoints() -> None:
    """Let ``torch.load(weights_only=True)`` read mmengine's checkpoints.

    Since torch 2.6 it is the default, and it refuses the training history
    that mmengine writes beside the weights: ``HistoryBuffer`` with its
    statistics, and numpy arrays and scalars. Exactly these are allowed. An
    older torch takes no names in its allow-list, and needs none: it loads
    these files by default.
    """
    import numpy as np
    from mmengine.logging.history_buffer import HistoryBuffer
    from mmengine.utils import digit_version
    from torch import __version__, serialization

    if digit_version(__version__) < digit_version('2.6'):
        return
    core = np._core if hasattr(np, '_core') else np.core
    rebuild = core.multiarray._reconstruct
    scalar = core.multiarray.scalar
    allowed: list[Any] = [
        HistoryBuffer,
        np.ndarray,
        np.dtype,
        *(type(np.dtype(name)) for name in ('f4', 'f8', 'i4', 'i8', 'b1')),
    ]
    # numpy 1 and 2 write the same functions under two names.
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        allowed += [
            (rebuild, f'{module}._reconstruct'),
            (scalar, f'{module}.scalar'),
        ]
    # Pickle writes a class's own function as getattr(class, name).
    for module in ('builtins', '__builtin__'):
        allowed.append((_history_statistic, f'{module}.getattr'))
    serialization.add_safe_globals(allowed)


def _history_statistic(owner: Any, name: str) -> Any:
    """Stand in for ``getattr`` in a checkpoint: for ``HistoryBuffer`` only."""
    from mmengine.logging.history_buffer import HistoryBuffer

    if owner is not HistoryBuffer or name.startswith('_'):
        raise UnpicklingError(
            f'the checkpoint asks for attribute {name!r} of {owner!r}; only '
            'the statistics of HistoryBuffer are allowed.'
        )
    return getattr(owner, name)
