"""The schedule of ``vptm_100e.py`` in 20 epochs, for small data sets.

With another number of epochs E, set ``train_cfg.max_epochs=E
param_scheduler.1.end=E``.
"""

_base_ = './vptm_100e.py'

train_cfg = dict(max_epochs=20)
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
        end=20,
        convert_to_iter_based=True,
    ),
]
