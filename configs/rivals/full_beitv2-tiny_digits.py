"""Full fine-tuning on the digits: the whole encoder and a linear head.

    python tools/train.py configs/rivals/full_beitv2-tiny_digits.py

Result: top-1 92.9 ± 0.9 % on the test set (2026-11-26, CPU, 5 seeds).
"""

_base_ = './linear-cls_beitv2-tiny_digits.py'

model = dict(backbone=dict(type='FineTunedBackbone', tuned='all'))
optim_wrapper = dict(optimizer=dict(lr=3e-3))
