"""VPTM on VTAB-1k, natural: CIFAR-100.

    python tools/train.py configs/vtab/vptm_beitv2_vtab-cifar.py

100 classes, 10,000 test images. Result: not yet measured.
"""

_base_ = '../_base_/vptm_beitv2_vtab1k.py'

model = dict(head=dict(num_classes=100))
train_dataloader = dict(dataset=dict(task='cifar'))
val_dataloader = test_dataloader = train_dataloader
