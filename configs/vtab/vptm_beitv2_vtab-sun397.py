"""VPTM on VTAB-1k, natural: SUN397.

    python tools/train.py configs/vtab/vptm_beitv2_vtab-sun397.py

397 classes, 21,750 test images. Result: not yet measured.
"""

_base_ = '../_base_/vptm_beitv2_vtab1k.py'

model = dict(head=dict(num_classes=397))
train_dataloader = dict(dataset=dict(task='sun397'))
val_dataloader = test_dataloader = train_dataloader
