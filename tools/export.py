"""Write a tuned classifier as an ONNX or ``torch.export`` file.

python tools/export.py configs/vptm_beitv2_cub.py TASK.safetensors \
    --format onnx --out cub.onnx
"""

import argparse
from pathlib import Path

# First: it says what to install if MMPretrain is missing.
import vptm_mm  # noqa: F401

# isort: split

import torch
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from mmpretrain.datasets import build_dataset
from torch import Tensor

from vptm_mm.datasets import check_data_roots
from vptm_mm.engine.cfg_options import read_config
from vptm_mm.export import OPSET, TOLERANCE, export_classifier
from vptm_mm.run_tool import run_tool
from vptm_mm.tasks import load_classifier, prediction_pipeline

NUM_IMAGES = 8


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Export a tuned classifier')
    parser.add_argument('config', help='path of the config')
    parser.add_argument(
        'checkpoint', help='path or address of a checkpoint or task file'
    )
    parser.add_argument(
        '--format',
        choices=['onnx', 'pt2'],
        help=f'onnx: opset {OPSET}, for onnxruntime; pt2: for torch; by '
        'default what --out ends in',
    )
    parser.add_argument('--out', required=True, help='file to write')
    parser.add_argument(
        '--preprocessing',
        action='store_true',
        help='take uint8 images in BGR order, in place of normalised ones',
    )
    parser.add_argument(
        '--tolerance',
        type=float,
        default=TOLERANCE,
        help='largest difference of a score that is right',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        help='change keys of the config; an unknown key is an error',
    )
    args = parser.parse_args()
    suffix = Path(args.out).suffix
    if args.format and suffix != f'.{args.format}':
        parser.error(f'--out={args.out} must end in .{args.format}')
    return args


def verification_images(
    cfg: Config, shape: tuple[int, ...]
) -> tuple[Tensor, str]:
    """Images of the test set, or else random ones, and what they are."""
    try:
        if cfg.get('test_dataloader') is None:
            raise FileNotFoundError('The config has no test_dataloader.')
        check_data_roots(cfg.test_dataloader)
        dataset = build_dataset(cfg.test_dataloader.dataset)
        count = min(NUM_IMAGES, len(dataset))
        chosen = [i * len(dataset) // count for i in range(count)]
        images = [dataset[i]['inputs'] for i in chosen]
    except FileNotFoundError as error:
        print(f'No test images, so random ones are used. {error}')
        seed = torch.Generator().manual_seed(0)
        noise = torch.randint(256, (NUM_IMAGES, *shape), generator=seed)
        return noise.to(torch.uint8), 'random images'
    shapes = sorted({tuple(image.shape) for image in images})
    if shapes != [shape]:
        raise ValueError(
            f'the test pipeline leaves images of shapes {shapes}; the encoder '
            f'takes {shape}. Add Resize or CenterCrop to '
            'test_dataloader.dataset.pipeline, or set encoder.img_size.'
        )
    return torch.stack(images), 'images of the test set'


def main() -> None:
    args = parse_args()
    cfg = read_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope') or 'mmpretrain')
    model = load_classifier(cfg, args.checkpoint, device='cpu')
    classes = (getattr(model, '_dataset_meta', None) or {}).get('classes')
    encoder = model.backbone.encoder
    channels = encoder.patch_embed.projection.in_channels
    images, kind = verification_images(cfg, (channels, *encoder.img_size))
    difference = export_classifier(
        model,
        args.out,
        images,
        preprocessing=args.preprocessing,
        classes=classes,
        pipeline=prediction_pipeline(cfg),
        tolerance=args.tolerance,
    )
    is_onnx = Path(args.out).suffix == '.onnx'
    print(
        f'{args.out}: {Path(args.out).expanduser().stat().st_size / 1e6:.1f} '
        f'MB, {model.head.num_classes} classes, '
        f'{"opset " + str(OPSET) if is_onnx else "torch.export"}'
        f'\n  {len(images)} {kind}: max difference of a score '
        f'{difference:.1e}, allowed {args.tolerance:.0e}'
    )


if __name__ == '__main__':
    run_tool(main)
