"""Linear probe on CUB: averaged patches of the same frozen backbone.

    python tools/train.py configs/baselines/linear-avg_beitv2_cub.py

Result: not yet measured.
"""

_base_ = './linear-cls_beitv2_cub.py'

model = dict(backbone=dict(readout='patches'))
