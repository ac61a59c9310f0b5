"""VPTM on a tiny BEiT v2: 6 blocks, width 128, 32 px, 4x4 patches of 8 px.

The sibling of ``beitv2-tiny_pretrain.py``, which makes such a backbone.
"""

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='VPTMBackbone',
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
        prompt_length=10,
        prompt_blocks=(0,),
        mask_grid=1,
        visual_token='hidden',
        num_visual_tokens=256,
        init_cfg=dict(
            type='Pretrained', checkpoint='vptm_mm://beitv2-tiny_digits.pth'
        ),
    ),
    head=dict(
        type='PrototypeVerbalizerHead',
        num_classes=10,
        in_channels=128,
        prototype_dim=128,
        temperature=0.1,
        prototype_init='discriminant',
    ),
)

data_preprocessor = dict(
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True,
)
