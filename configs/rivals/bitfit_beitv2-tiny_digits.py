"""BitFit on the digits: each bias of the encoder and a linear head.

    python tools/train.py configs/rivals/bitfit_beitv2-tiny_digits.py

Result: not yet measured.
"""

_base_ = './linear-cls_beitv2-tiny_digits.py'

model = dict(backbone=dict(type='FineTunedBackbone', tuned='bias'))
optim_wrapper = dict(optimizer=dict(lr=2e-2))
