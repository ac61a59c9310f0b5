"""VPTM on VTAB-1k, structured: smallNORB, azimuth.

    python tools/train.py configs/vtab/vptm_beitv2_vtab-smallnorb_azi.py

18 classes, 12,150 test images. Result: not yet measured.
"""

_base_ = '../_base_/vptm_beitv2_vtab1k.py'

model = dict(head=dict(num_classes=18))
train_dataloader = dict(dataset=dict(task='smallnorb_azi'))
val_dataloader = test_dataloader = train_dataloader
