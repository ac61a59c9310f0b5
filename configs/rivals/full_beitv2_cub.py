"""Full fine-tuning on CUB: the whole encoder and a linear head.

    python tools/train.py configs/rivals/full_beitv2_cub.py

Result: not yet measured.
"""

_base_ = './linear-cls_beitv2_cub.py'

model = dict(backbone=dict(type='FineTunedBackbone', tuned='all'))
optim_wrapper = dict(optimizer=dict(lr=1e-4))
