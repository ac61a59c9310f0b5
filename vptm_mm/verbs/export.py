"""Write a tuned classifier as an ONNX or ``torch.export`` file.

vptm export TASK.safetensors --out cub.onnx
"""

import argparse
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.datasets import build_dataset
from torch import Tensor

from ..datasets import check_data_roots
from ..engine.cfg_options import open_config
from ..exporting.export_file import (
    OPSET,
    TOLERANCE,
    check_out,
    export_classifier,
    random_images,
)
from ..host import dataset_meta
from ..tasks import load_classifier, prediction_pipeline

NUM_IMAGES = 8


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
        print(
            f'No test images, so random ones are used. {error}',
            file=sys.stderr,
        )
        return random_images(shape), 'random images'
    shapes = sorted({tuple(image.shape) for image in images})
    if shapes != [shape]:
        raise ValueError(
            f'the test pipeline leaves images of shapes {shapes}; the encoder '
            f'takes {shape}. Add Resize or CenterCrop to '
            'test_dataloader.dataset.pipeline, or set encoder.img_size.'
        )
    return torch.stack(images), 'images of the test set'


def run(args: argparse.Namespace) -> int:
    """Run ``vptm export``."""
    suffix = Path(args.out).suffix
    if args.format and suffix != f'.{args.format}':
        raise ValueError(f'--out {args.out} must end in .{args.format}.')
    check_out(args.out)  # before the model is built
    tolerance = TOLERANCE if args.tolerance is None else args.tolerance
    cfg = open_config(args.config, args.checkpoint, args.cfg_options)
    init_default_scope(cfg.get('default_scope') or 'mmpretrain')
    model = load_classifier(cfg, args.checkpoint, device='cpu')
    classes = dataset_meta(model).get('classes')
    encoder = model.backbone.encoder
    images, kind = verification_images(cfg, encoder.input_shape)
    difference = export_classifier(
        model,
        args.out,
        images,
        preprocessing=args.preprocessing,
        classes=classes,
        pipeline=prediction_pipeline(cfg),
        tolerance=tolerance,
    )
    print(
        f'{args.out}: {Path(args.out).expanduser().stat().st_size / 1e6:.1f} '
        f'MB, {model.head.num_classes} classes, '
        f'{"opset " + str(OPSET) if suffix == ".onnx" else "torch.export"}'
        f'\n  {len(images)} {kind}: max difference of a score '
        f'{difference:.1e}, allowed {tolerance:.0e}'
    )
    return 0
