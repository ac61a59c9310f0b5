"""VPTM on VTAB-1k, structured: Clevr, distance of the closest object.

    python tools/train.py configs/vtab/vptm_beitv2_vtab-clevr_dist.py

6 classes, 15,000 test images. Result: not yet measured.
"""

_base_ = '../_base_/vptm_beitv2_vtab1k.py'

model = dict(head=dict(num_classes=6))
train_dataloader = dict(dataset=dict(task='clevr_dist'))
val_dataloader = test_dataloader = train_dataloader
