"""VPTM on VTAB-1k, natural: Oxford Flowers 102.

    python tools/train.py configs/vtab/vptm_beitv2_vtab-oxford_flowers102.py

102 classes, 6,149 test images. Result: not yet measured.
"""

_base_ = '../_base_/vptm_beitv2_vtab1k.py'

model = dict(head=dict(num_classes=102))
train_dataloader = dict(dataset=dict(task='oxford_flowers102'))
val_dataloader = test_dataloader = train_dataloader
