"""VPTM on VTAB-1k, structured: dSprites, orientation.

    python tools/train.py configs/vtab/vptm_beitv2_vtab-dsprites_ori.py

16 classes, 73,728 test images. Result: not yet measured.
"""

_base_ = '../_base_/vptm_beitv2_vtab1k.py'

model = dict(head=dict(num_classes=16))
train_dataloader = dict(dataset=dict(task='dsprites_ori'))
val_dataloader = test_dataloader = train_dataloader
