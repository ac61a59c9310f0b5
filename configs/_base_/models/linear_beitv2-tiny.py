"""Linear probe on the frozen tiny BEiT v2 of ``vptm_beitv2-tiny.py``."""

_base_ = './vptm_beitv2-tiny.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='FrozenFeatures',
        encoder=_base_.model.backbone.encoder,
        readout='cls',
        init_cfg=_base_.model.backbone.init_cfg,
    ),
    head=dict(
        _delete_=True, type='LinearClsHead', num_classes=10, in_channels=128
    ),
)
