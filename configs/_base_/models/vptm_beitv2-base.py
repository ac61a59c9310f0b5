"""VPTM on BEiT v2 base: ViT-B/16, 224 px.

``VPTM_BEITV2_BASE`` in the environment gives a local file of the weights;
without it they are downloaded once. Both Microsoft's
``beitv2_base_patch16_224_pt1k*.pth`` and MMPretrain's pre-training checkpoint
are read; fine-tuned files are refused.
"""

os = __import__('os')  # no import: see CONTRIBUTING.md

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='VPTMBackbone',
        encoder=dict(
            type='BEiTPretrainViT', arch='base', img_size=224, patch_size=16
        ),
        prompt_length=10,
        prompt_blocks=(0,),
        mask_grid=1,
        visual_token='hidden',
        init_cfg=dict(
            type='Pretrained',
            checkpoint=os.environ.get(
                'VPTM_BEITV2_BASE',
                'https://download.openmmlab.com/mmselfsup/1.x/beitv2/beitv2_vit-base-p16_8xb256-amp-coslr-300e_in1k/beitv2_vit-base-p16_8xb256-amp-coslr-300e_in1k_20221212-a157be30.pth',
            ),
        ),
    ),
    head=dict(
        type='PrototypeVerbalizerHead',
        num_classes=1000,
        in_channels=768,
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
