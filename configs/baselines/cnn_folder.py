"""A small CNN from scratch on a folder of your own, 64 px.

    IMAGE_FOLDER=path/to/images \
        python tools/train.py configs/baselines/cnn_folder.py

A yardstick that does not share the backbone: a ResNet-18 a quarter as wide,
0.7 million parameters, which sees the pixels that the other methods see.
Folders as in ``vptm_beitv2_folder.py``. The forward pass is in ``bfloat16``.

Results: docs/results.md.
"""

_base_ = [
    '../_base_/datasets/folder_64.py',
    '../_base_/vptm_runtime.py',
    '../_base_/schedules/vptm_100e.py',
]

# No import statement: see CONTRIBUTING.md.
datasets = __import__('vptm_mm').datasets
num_classes = datasets.count_classes(_base_.data_root)

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='ResNet_CIFAR',
        depth=18,
        stem_channels=16,
        base_channels=16,
        # The first stage works at 32 px.
        strides=(2, 2, 2, 2),
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=num_classes, in_channels=128),
)
data_preprocessor = dict(
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True,
)
default_hooks = dict(task_file=None, class_means=None)
optim_wrapper = dict(
    type='BFloat16OptimWrapper',
    optimizer=dict(lr=3e-3, weight_decay=0.05),
)
