"""Pre-train a small BEiT v2 at 224 px on any folder of images, without labels.

    IMAGE_FOLDER=path/to/images \
        python tools/train.py configs/pretrain/beitv2-small_folder.py --amp

For one GPU or several: 12 blocks of width 384, 22 million parameters. The
learning rate is for 256 images a step, in all processes together.
``tools/pretrain.py`` adds rounds. Result: not yet measured.
"""

_base_ = './beitv2-tiny_folder.py'

# BEiTV2Neck checks for num_layers and reads depth.
arch = dict(
    embed_dims=384,
    num_layers=12,
    depth=12,
    num_heads=6,
    feedforward_channels=1536,
)
num_visual_tokens = 2048
model = dict(
    backbone=dict(
        arch=arch,
        img_size=224,
        patch_size=16,
        # After 9 blocks and after all, as BEiT v2 base.
        out_indices=[8, 11],
    ),
    neck=dict(early_layers=9, backbone_arch=arch),
    head=dict(embed_dims=arch['embed_dims'], num_embed=num_visual_tokens),
    target_generator=dict(num_visual_tokens=num_visual_tokens, patch_size=16),
)

warmup_epochs = 10
# 40 % of 14 x 14 patches.
masks = dict(
    type='BlockMaskGenerator',
    input_size=(14, 14),
    num_masking_patches=78,
    min_num_patches=16,
)
train_pipeline = [
    dict(type='LoadCheckedImage'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(
        type='TwoViewCrop',
        size=224,
        second_size=224,
        interpolation='bicubic',
        second_interpolation='bicubic',
        scale=(0.2, 1.0),
    ),
    masks,
    dict(type='PackInputs'),
]
whole = [
    dict(type='LoadCheckedImage'),
    dict(
        type='TwoViewCrop',
        size=224,
        second_size=224,
        interpolation='bicubic',
        second_interpolation='bicubic',
        scale=(1.0, 1.0),
        ratio=(1.0, 1.0),
    ),
]
whole_pipeline = [*whole, dict(type='PackInputs')]
masked_pipeline = [*whole, masks, dict(type='PackInputs')]
train_dataloader = dict(
    num_workers=8, dataset=dict(dataset=dict(pipeline=train_pipeline))
)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
train_cfg = dict(max_epochs=300)
param_scheduler = [
    dict(_base_.param_scheduler[0], end=warmup_epochs),
    dict(_base_.param_scheduler[1], begin=warmup_epochs),
]
in_order = dict(_base_.in_order, batch_size=64, num_workers=8)
cut = dict(_base_.cut, part='val')
default_hooks = dict(
    report=dict(
        masked_tokens=dict(
            _delete_=True,
            **in_order,
            dataset=dict(
                **cut, dataset=dict(**_base_.images, pipeline=masked_pipeline)
            ),
        ),
        visual_tokens=dict(
            _delete_=True,
            **in_order,
            dataset=dict(
                **cut, dataset=dict(**_base_.images, pipeline=whole_pipeline)
            ),
        ),
    ),
    export=dict(filename='beitv2-small_folder.pth'),
)
