"""VPTM on VTAB-1k, structured: DMLab.

    python tools/train.py configs/vtab/vptm_beitv2_vtab-dmlab.py

6 classes, 22,735 test images. Result: not yet measured.
"""

_base_ = '../_base_/vptm_beitv2_vtab1k.py'

model = dict(head=dict(num_classes=6))
train_dataloader = dict(dataset=dict(task='dmlab'))
val_dataloader = test_dataloader = train_dataloader
