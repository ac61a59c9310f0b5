"""VPTM on a tiny BEiT v2: 6 blocks, width 128, 32 px, 4x4 patches of 8 px.

The sibling of ``beitv2-tiny_pretrain.py``, which makes such a backbone.
"""

_base_ = './vptm_beitv2-base.py'

model = dict(
    backbone=dict(
        encoder=dict(
            arch=dict(
                _delete_=True,
                embed_dims=128,
                num_layers=6,
                num_heads=4,
                feedforward_channels=512,
            ),
            img_size=32,
            patch_size=8,
        ),
        num_visual_tokens=256,
        init_cfg=dict(checkpoint='vptm_mm://beitv2-tiny_digits.pth'),
    ),
    head=dict(num_classes=10, in_channels=128),
)
