"""Linear probe on CUB: [CLS] of the same frozen backbone.

    python tools/train.py configs/baselines/linear-cls_beitv2_cub.py

Result: not yet measured.
"""

_base_ = [
    '../_base_/models/linear_beitv2-base.py',
    '../_base_/datasets/cub_224.py',
    '../_base_/vptm_runtime.py',
    '../_base_/schedules/vptm_100e.py',
]

model = dict(head=dict(num_classes=200))
optim_wrapper = dict(optimizer=dict(lr=1e-2))
