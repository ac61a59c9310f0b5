"""Linear probe on the digits: 2x2-pooled patches of the same frozen backbone.

    python tools/train.py configs/rivals/linear-pool2x2_beitv2-tiny_digits.py

Result: not yet measured.
"""

_base_ = '../vptm_beitv2-tiny_digits.py'

model = dict(
    backbone=dict(
        _delete_=True,
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
        readout='patches',
        pool_grid=2,
        init_cfg=dict(
            type='Pretrained', checkpoint='vptm_mm://beitv2-tiny_digits.pth'
        ),
    ),
    head=dict(
        _delete_=True,
        type='LinearClsHead',
        num_classes=10,
        in_channels=512,
    ),
)
