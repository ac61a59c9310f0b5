"""BitFit on CUB: each bias of the encoder and a linear head.

    python tools/train.py configs/baselines/bitfit_beitv2_cub.py

Result: not yet measured.
"""

_base_ = './linear-cls_beitv2_cub.py'

model = dict(backbone=dict(type='FineTunedBackbone', tuned='bias'))
optim_wrapper = dict(optimizer=dict(lr=1e-3))
