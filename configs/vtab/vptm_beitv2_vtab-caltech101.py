"""VPTM on VTAB-1k, natural: Caltech-101.

    python tools/train.py configs/vtab/vptm_beitv2_vtab-caltech101.py

102 classes, 6,084 test images. Result: not yet measured.
"""

_base_ = '../_base_/vptm_beitv2_vtab1k.py'

model = dict(head=dict(num_classes=102))
train_dataloader = dict(dataset=dict(task='caltech101'))
val_dataloader = test_dataloader = train_dataloader
