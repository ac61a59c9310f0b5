"""Where the configs are, and which models MMPretrain's ModelHub is told of."""

import difflib
from pathlib import Path

from mmpretrain.apis import ModelHub

INDEX = 'model-index.yml'


def root() -> Path:
    """Return the folder of configs, tools and model index.

    A wheel carries them in ``vptm_mm/.mim``; in a clone they lie beside the
    package.

    Raises:
        FileNotFoundError: If they are in neither.
    """
    package = Path(__file__).parent
    for folder in (package.parent, package / '.mim'):
        is_ours = (folder / 'configs' / 'metafile.yml').is_file()
        if is_ours and (folder / INDEX).is_file():
            return folder
    raise FileNotFoundError(
        f'no {INDEX} and configs beside {package}; install vptm_mm again.'
    )


def config_path(name: str) -> Path:
    """Return the path of a config: itself, or what has this name.

    Args:
        name: A path, or the name of a config, as ``vptm_beitv2_cub``.

    Raises:
        FileNotFoundError: If there is neither.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    stem = path.name.removesuffix('.py')
    found = [p for p in config_paths() if p.stem == stem]
    if path.name == str(path) and found:
        return found[0]
    names = [p.stem for p in config_paths()]
    near = ', '.join(difflib.get_close_matches(stem, names))
    near = near and f' (near: {near})'
    raise FileNotFoundError(
        f'no config at {path.absolute()}, and vptm_mm has none of this name'
        f'{near}; `vptm configs` lists all.'
    )


def config_paths() -> list[Path]:
    """Return the paths of all configs that can be run, sorted by name."""
    configs = root() / 'configs'
    return sorted(
        path
        for path in configs.rglob('*.py')
        if '_base_' not in path.relative_to(configs).parts
    )


def register_models() -> None:
    """Register every model of ``model-index.yml``, where there is one."""
    try:
        folder = root()
    except FileNotFoundError:
        return
    ModelHub.register_model_index(folder / INDEX, config_prefix=folder)
