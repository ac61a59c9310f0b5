"""Linear probe on the frozen BEiT v2 base of ``vptm_beitv2-base.py``."""

_base_ = './vptm_beitv2-base.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='FrozenFeatures',
        encoder=_base_.model.backbone.encoder,
        readout='cls',
        init_cfg=_base_.model.backbone.init_cfg,
    ),
    head=dict(
        _delete_=True, type='LinearClsHead', num_classes=1000, in_channels=768
    ),
)
