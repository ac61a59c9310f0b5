"""Linear probe on the frozen tiny BEiT v2 of ``vptm_beitv2-tiny.py``."""

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='FrozenFeatures',
        encoder=dict(
            type='BEiTPretrainViT',
            arch=dict(
                embed_dims=128,
                num_layers=6,
                num_heads=4,
                feedforward_channels=512,
            ),
            img_size=32,
            patch_size=8,
        ),
        readout='cls',
        init_cfg=dict(
            type='Pretrained', checkpoint='vptm_mm://beitv2-tiny_digits.pth'
        ),
    ),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=128),
)

data_preprocessor = dict(
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True,
)
