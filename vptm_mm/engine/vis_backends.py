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
        names: Some of ``BACKENDS``.

    Raises:
        RuntimeError: If a package is not installed; names the extra.
    """
    for name in names:
        spec = find_spec(name)
        # W&B itself leaves folders named wandb, which can be imported.
        if spec is None or spec.origin is None:
            raise RuntimeError(
                f'--watch {name}: the package {name} is not installed; run: '
                f"pip install 'vptm_mm[{name}]' (in a clone: pip install -e "
                f"'.[{name}]')."
            )
        if cfg.get('visualizer') is None:
            cfg.visualizer = dict(type='UniversalVisualizer')
        backends = list(cfg.visualizer.get('vis_backends') or [])
        if all(backend['type'] != BACKENDS[name] for backend in backends):
            backends.append(dict(type=BACKENDS[name]))
        cfg.visualizer.vis_backends = backends
