"""AdaptFormer on CUB: an adapter of width 64 beside each MLP.

    python tools/train.py configs/baselines/adaptformer_beitv2_cub.py

Result: not yet measured.
"""

_base_ = './linear-cls_beitv2_cub.py'

model = dict(
    backbone=dict(type='AdaptFormerBackbone', bottleneck_dims=64, scale=0.1)
)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
