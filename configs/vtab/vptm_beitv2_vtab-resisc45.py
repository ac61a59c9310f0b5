"""VPTM on VTAB-1k, specialized: RESISC45.

    python tools/train.py configs/vtab/vptm_beitv2_vtab-resisc45.py

45 classes, 6,300 test images. Result: not yet measured.
"""

_base_ = '../_base_/vptm_beitv2_vtab1k.py'

model = dict(head=dict(num_classes=45))
train_dataloader = dict(dataset=dict(task='resisc45'))
val_dataloader = test_dataloader = train_dataloader
