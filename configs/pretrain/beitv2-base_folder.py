"""Pre-train a BEiT v2 base at 224 px on any folder of images, without labels.

    IMAGE_FOLDER=path/to/images \
        python tools/train.py configs/pretrain/beitv2-base_folder.py --amp

As ``beitv2-small_folder.py``, of the size of the published backbone;
``configs/vptm_beitv2_folder.py`` reads it. On 8 GPUs put ``torchrun
--nproc-per-node 8`` in place of ``python``, and add ``--launcher pytorch
--cfg-options train_dataloader.batch_size=32``. Result: not yet measured.
"""

_base_ = './beitv2-small_folder.py'

# BEiTV2Neck checks for num_layers and reads depth.
arch = dict(
    embed_dims=768,
    num_layers=12,
    depth=12,
    num_heads=12,
    feedforward_channels=3072,
)
model = dict(
    backbone=dict(arch=arch),
    neck=dict(backbone_arch=arch),
    head=dict(embed_dims=arch['embed_dims']),
)
default_hooks = dict(export=dict(filename='beitv2-base_folder.pth'))
