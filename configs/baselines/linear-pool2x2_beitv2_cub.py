"""Linear probe on CUB: 2x2-pooled patches of the same frozen backbone.

    python tools/train.py configs/baselines/linear-pool2x2_beitv2_cub.py

Result: not yet measured.
"""

_base_ = './linear-cls_beitv2_cub.py'

model = dict(
    backbone=dict(readout='patches', pool_grid=2), head=dict(in_channels=3072)
)
