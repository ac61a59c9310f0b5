"""AdaptFormer on the digits: an adapter of width 16 beside each MLP.

    python tools/train.py configs/baselines/adaptformer_beitv2-tiny_digits.py

Result: top-1 91.3 ± 0.8 % on the test set (2026-11-26, CPU, 5 seeds).
"""

_base_ = './linear-cls_beitv2-tiny_digits.py'

model = dict(
    backbone=dict(type='AdaptFormerBackbone', bottleneck_dims=16, scale=0.1)
)
optim_wrapper = dict(optimizer=dict(lr=5e-2))
