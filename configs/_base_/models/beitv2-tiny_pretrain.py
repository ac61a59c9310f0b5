"""A tiny BEiT v2 with its pre-training parts: 32 px, 4x4 patches of 8 px.

BEiT v2's objective on MMPretrain's own classes; the visual tokenizer is
k-means over patches in place of VQ-KD, so nothing has to be downloaded.
"""

# BEiTV2Neck checks for num_layers and reads depth.
arch = dict(
    embed_dims=128,
    num_layers=6,
    depth=6,
    num_heads=4,
    feedforward_channels=512,
)
num_visual_tokens = 256

model = dict(
    type='BEiT',
    backbone=dict(
        type='BEiTPretrainViT',
        arch=arch,
        img_size=32,
        patch_size=8,
        # The early output feeds the neck's patch aggregation.
        out_indices=[3, 5],
        final_norm=False,
        out_type='raw',
        layer_scale_init_value=0.1,
        init_cfg=[
            dict(type='TruncNormal', std=0.02, layer='Linear'),
            dict(type='TruncNormal', std=0.02, layer='Conv2d'),
            dict(type='Constant', layer='LayerNorm', val=1.0, bias=0.0),
        ],
    ),
    neck=dict(
        type='BEiTV2Neck', num_layers=2, early_layers=4, backbone_arch=arch
    ),
    head=dict(
        type='BEiTV2Head',
        embed_dims=128,
        num_embed=num_visual_tokens,
        loss=dict(type='CrossEntropyLoss'),
    ),
    target_generator=dict(
        type='PatchKMeansTokenizer',
        num_visual_tokens=num_visual_tokens,
        patch_size=8,
    ),
)

data_preprocessor = dict(
    type='TwoNormDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    second_mean=[127.5, 127.5, 127.5],
    second_std=[127.5, 127.5, 127.5],
    to_rgb=True,
)
