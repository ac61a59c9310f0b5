"""Linear probe on the digits: 2x2-pooled patches of the same frozen backbone.

    python tools/train.py \
        configs/baselines/linear-pool2x2_beitv2-tiny_digits.py

Result: top-1 93.3 ± 0.7 % on the test set (2026-11-26, CPU, 5 seeds).
"""

_base_ = './linear-cls_beitv2-tiny_digits.py'

model = dict(
    backbone=dict(readout='patches', pool_grid=2), head=dict(in_channels=512)
)
