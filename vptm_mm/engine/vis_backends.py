"""Where curves are shown while a run goes on: TensorBoard, W&B."""

from collections.abc import Iterable
from importlib.util import find_spec

from mmengine.config import Config

# Name of the package and of the extra, and the host's backend.
BACKENDS = {
    'tensorboard': 'TensorboardVisBackend',
    'wandb': 'WandbVisBackend',
}


def add_vis_backends(cfg: Config, names: Iterable[str]) -> None:
    """Add backends to the visualizer of a config, each once.

    Args:
        cfg: The config; changed in place.
        names: ``'tensorboard'``, ``'wandb'``.

    Raises:
        ValueError: If a name is unknown.
    """
    for name in names:
        if name not in BACKENDS:
            raise ValueError(
                f'backend {name!r} must be one of {tuple(BACKENDS)}.'
            )
        if cfg.get('visualizer') is None:
            cfg.visualizer = dict(type='UniversalVisualizer')
        backends = list(cfg.visualizer.get('vis_backends') or [])
        if all(backend['type'] != BACKENDS[name] for backend in backends):
            backends.append(dict(type=BACKENDS[name]))
        cfg.visualizer.vis_backends = backends


def require_vis_packages(cfg: Config) -> None:
    """Refuse backends whose package is missing, before anything is built.

    Raises:
        RuntimeError: If a package is not installed; names the extra.
    """
    visualizer = cfg.get('visualizer') or {}
    types = {b['type'] for b in visualizer.get('vis_backends') or []}
    for name, backend in BACKENDS.items():
        spec = find_spec(name) if backend in types else None
        # W&B itself leaves folders named wandb, which can be imported.
        if backend in types and (spec is None or spec.origin is None):
            raise RuntimeError(
                f'{backend} needs the package {name}, which is not installed; '
                f"run: pip install 'vptm_mm[{name}]' (in a clone: pip install "
                f"-e '.[{name}]')."
            )
