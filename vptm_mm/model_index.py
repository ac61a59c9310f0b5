"""Tells MMPretrain's ModelHub which models there are."""

from pathlib import Path

from mmpretrain.apis import ModelHub


def register_models() -> None:
    """Register every model of ``model-index.yml``.

    A wheel carries it, with configs and tools, in ``vptm_mm/.mim``; in a
    clone it lies beside the package.
    """
    package = Path(__file__).parent
    for root in (package / '.mim', package.parent):
        index = root / 'model-index.yml'
        if index.is_file() and (root / 'configs' / 'metafile.yml').is_file():
            ModelHub.register_model_index(index, config_prefix=root)
            return
