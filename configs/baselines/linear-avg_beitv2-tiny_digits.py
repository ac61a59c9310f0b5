"""Linear probe on the digits: averaged patches of the same frozen backbone.

    python tools/train.py configs/baselines/linear-avg_beitv2-tiny_digits.py

Result: top-1 71.2 ± 1.0 % on the test set (2026-11-26, CPU, 5 seeds).
"""

_base_ = './linear-cls_beitv2-tiny_digits.py'

model = dict(backbone=dict(readout='patches'))
optim_wrapper = dict(optimizer=dict(lr=0.8))
