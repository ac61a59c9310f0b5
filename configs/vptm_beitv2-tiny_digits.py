"""VPTM on scikit-learn's digits: a tiny BEiT v2 that comes with the package.

    python tools/train.py configs/vptm_beitv2-tiny_digits.py

Result: not yet measured.
"""

_base_ = [
    './_base_/models/vptm_beitv2-tiny.py',
    './_base_/datasets/digits_32.py',
    './_base_/vptm_runtime.py',
    './_base_/schedules/vptm_100e.py',
]

max_epochs = 20
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-3,
        by_epoch=True,
        begin=0,
        end=2,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min=0,
        by_epoch=True,
        begin=2,
        end=max_epochs,
        convert_to_iter_based=True,
    ),
]
