"""Full fine-tuning on the digits: the whole encoder and a linear head.

    python tools/train.py configs/baselines/full_beitv2-tiny_digits.py

With one rate for all blocks, as ``full fine-tuning`` of
``configs/compare/digits.yml`` sets it: top-1 92.9 ± 0.9 % on the test set
(2026-11-26, CPU, 5 seeds). Result with layer-wise decay: not yet measured.
"""

_base_ = './linear-cls_beitv2-tiny_digits.py'

model = dict(backbone=dict(type='FineTunedBackbone', tuned='all'))
# BEiT's recipe: each block learns more slowly than the one after it.
optim_wrapper = dict(
    constructor='LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.65),
    optimizer=dict(lr=3e-3),
)
