"""VPTM on a folder of your own, on the packaged colour backbone, 64 px.

    IMAGE_FOLDER=path/to/images \
        python tools/train.py configs/vptm_beitv2-mini_folder.py

The backbone learned from 58,800 images of Tiny-ImageNet and a teacher's
tokens: ``pretrain/beitv2-mini_tinyimagenet.py``. It is for trying the tool,
for small images and few labels; ``vptm_beitv2_folder.py`` is the same on BEiT
v2 base. Folders as there. Another backbone of this size:
``--cfg-options model.backbone.init_cfg.checkpoint=path/to/backbone.pth``.

Result: TrashNet 76.4 ± 0.5 % with four [MASK]s, 10 epochs: docs/results.md.
"""

_base_ = './vptm_beitv2_folder.py'

model = dict(
    backbone=dict(
        encoder=dict(
            arch=dict(
                _delete_=True,
                embed_dims=192,
                num_layers=8,
                num_heads=3,
                feedforward_channels=768,
            ),
            img_size=64,
            patch_size=8,
        ),
        init_cfg=dict(checkpoint='vptm_mm://beitv2-mini_tinyimagenet.pth'),
        prompt_init='mask',
    ),
    head=dict(in_channels=192, prototype_init='regularized_discriminant'),
)
train_pipeline = [
    dict(type='LoadCheckedImage'),
    dict(
        type='RandomResizedCrop',
        scale=64,
        crop_ratio_range=(0.7, 1.0),
        interpolation='bicubic',
    ),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadCheckedImage'),
    dict(type='Resize', scale=(64, 64), interpolation='bicubic'),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
