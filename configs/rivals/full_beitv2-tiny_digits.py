"""Full fine-tuning on the digits: the whole encoder and a linear head.

    python tools/train.py configs/rivals/full_beitv2-tiny_digits.py

Result: not yet measured.
"""

_base_ = './linear-cls_beitv2-tiny_digits.py'

model = dict(backbone=dict(type='FineTunedBackbone', tuned='all'))
optim_wrapper = dict(optimizer=dict(lr=1e-3))
