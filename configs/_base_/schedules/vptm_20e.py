"""The schedule of ``vptm_100e.py`` in 20 epochs, for small data sets."""

_base_ = './vptm_100e.py'

train_cfg = dict(max_epochs=20)
param_scheduler = [
    dict(_base_.param_scheduler[0], end=2),
    dict(_base_.param_scheduler[1], begin=2),
]
