"""Linear probe on the digits: 2x2-pooled patches of the same frozen backbone.

    python tools/train.py \
        configs/baselines/linear-pool2x2_beitv2-tiny_digits.py

Result: top-1 93.3 ± 0.7 % on the test set (2026-11-26, CPU, 5 seeds).
"""

_base_ = [
    '../_base_/models/linear_beitv2-tiny.py',
    '../_base_/datasets/digits_32.py',
    '../_base_/vptm_runtime.py',
    '../_base_/schedules/vptm_20e.py',
]

model = dict(
    backbone=dict(readout='patches', pool_grid=2), head=dict(in_channels=512)
)
optim_wrapper = dict(optimizer=dict(lr=0.2))
