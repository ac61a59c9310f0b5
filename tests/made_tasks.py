"""Tasks on the tiny backbone of conftest, and the classifiers they equal."""

import torch
from mmengine.config import Config
from mmpretrain import get_model

from vptm_mm.tasks import Task, make_task

from .conftest import ENCODER, NUM_VISUAL_TOKENS

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(16, 16)),
    dict(type='PackInputs'),
]


def make_config(
    checkpoint, num_classes: int = 5, head=None, **options
) -> Config:
    """A config of a classifier on the tiny backbone."""
    masks = options.get('mask_grid', 1) ** 2
    width = (
        NUM_VISUAL_TOKENS if options.get('visual_token') == 'logits' else 16
    )
    backbone = dict(
        type='VPTMBackbone',
        encoder=ENCODER,
        num_visual_tokens=NUM_VISUAL_TOKENS,
        init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint)),
    )
    return Config(
        dict(
            model=dict(
                type='ImageClassifier',
                backbone={**backbone, **options},
                head=head
                or dict(
                    type='PrototypeVerbalizerHead',
                    num_classes=num_classes,
                    in_channels=masks * width,
                    prototype_dim=8,
                ),
            ),
            data_preprocessor=dict(
                mean=[120.0, 110.0, 100.0], std=[60.0, 50.0, 40.0], to_rgb=True
            ),
            test_dataloader=dict(
                dataset=dict(type='CustomDataset', pipeline=PIPELINE)
            ),
        )
    )


def make_classifier(checkpoint, seed: int = 0, **options):
    """A classifier whose tuned tensors are large enough to matter."""
    torch.manual_seed(seed)
    config = make_config(checkpoint, **options)
    model = get_model(config)
    prompts = model.backbone.tuning.prompt_tokens.prompts
    if prompts is not None:
        torch.nn.init.normal_(prompts)
    return model


def task_of(model) -> Task:
    names = [f'class {i}' for i in range(model.head.num_classes)]
    return make_task(model, model._config, names)
