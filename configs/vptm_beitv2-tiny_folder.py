"""VPTM on a folder of your own, on a tiny backbone of your own, 32 px.

    IMAGE_FOLDER=path/to/images \
        python tools/train.py configs/vptm_beitv2-tiny_folder.py

The backbone is what ``tools/pretrain.py`` makes of
``pretrain/beitv2-tiny_folder.py`` in three rounds, in the same working
directory; ``VPTM_BEITV2_TINY`` in the environment gives another file, and
``vptm_beitv2-mini_folder.py`` takes the packaged one. Folders as in
``vptm_beitv2_folder.py``.

Measured on 2026-11-30, one CPU core, seeds 0 to 5, on the 2,000 photos of
TrashNet, 5 epochs, with the third backbone of
``pretrain/beitv2-tiny_cifar10.py``: 65.1 % of the validation images, 59.6 % of
the test images; results/tables.md has the command.
"""

os = __import__('os')  # no import: see CONTRIBUTING.md

_base_ = './vptm_beitv2_folder.py'

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
        init_cfg=dict(
            checkpoint=os.environ.get(
                'VPTM_BEITV2_TINY',
                'work_dirs/beitv2-tiny_folder_rounds/3_features/beitv2-tiny_folder.pth',
            )
        ),
    ),
    head=dict(in_channels=128),
)
train_pipeline = [
    dict(type='LoadCheckedImage'),
    dict(
        type='RandomResizedCrop',
        scale=32,
        crop_ratio_range=(0.7, 1.0),
        interpolation='bicubic',
    ),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadCheckedImage'),
    dict(type='Resize', scale=(32, 32), interpolation='bicubic'),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
