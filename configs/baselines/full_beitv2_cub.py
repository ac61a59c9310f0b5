"""Full fine-tuning on CUB: the whole encoder and a linear head.

    python tools/train.py configs/baselines/full_beitv2_cub.py

Result: not yet measured.
"""

_base_ = './linear-cls_beitv2_cub.py'

model = dict(backbone=dict(type='FineTunedBackbone', tuned='all'))
# BEiT's recipe: each block learns more slowly than the one after it.
optim_wrapper = dict(
    constructor='LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.65),
    optimizer=dict(lr=1e-4),
)
