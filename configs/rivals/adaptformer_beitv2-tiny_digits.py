"""AdaptFormer on the digits: an adapter of width 16 beside each MLP.

    python tools/train.py configs/rivals/adaptformer_beitv2-tiny_digits.py

Result: top-1 90.3 ± 1.6 % on the test set (2026-11-24, CPU, 5 seeds, learning
rate as in docs/results.md).
"""

_base_ = './linear-cls_beitv2-tiny_digits.py'

model = dict(
    backbone=dict(type='AdaptFormerBackbone', bottleneck_dims=16, scale=0.1)
)
optim_wrapper = dict(optimizer=dict(lr=2e-2))
