"""VPTM on BEiT v2 large: ViT-L/16, 224 px.

``VPTM_BEITV2_LARGE`` in the environment gives a local file of the weights;
without it Microsoft's file is downloaded once.
"""

os = __import__('os')  # no import: see CONTRIBUTING.md

_base_ = './vptm_beitv2-base.py'

model = dict(
    backbone=dict(
        encoder=dict(arch='large', layer_scale_init_value=1e-5),
        init_cfg=dict(
            checkpoint=os.environ.get(
                'VPTM_BEITV2_LARGE',
                'https://github.com/addf400/files/releases/download/BEiT-v2/beitv2_large_patch16_224_pt1k.pth',
            )
        ),
    ),
    head=dict(in_channels=1024),
)
