"""BitFit on the digits: each bias of the encoder and a linear head.

    python tools/train.py configs/baselines/bitfit_beitv2-tiny_digits.py

Result: top-1 83.5 ± 1.4 % on the test set (2026-11-26, CPU, 5 seeds).
"""

_base_ = './linear-cls_beitv2-tiny_digits.py'

model = dict(backbone=dict(type='FineTunedBackbone', tuned='bias'))
optim_wrapper = dict(optimizer=dict(lr=5e-2))
