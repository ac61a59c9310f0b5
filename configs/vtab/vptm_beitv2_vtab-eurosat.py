"""VPTM on VTAB-1k, specialized: EuroSAT.

    python tools/train.py configs/vtab/vptm_beitv2_vtab-eurosat.py

10 classes, 5,400 test images. Result: not yet measured.
"""

_base_ = '../_base_/vptm_beitv2_vtab1k.py'

model = dict(head=dict(num_classes=10))
train_dataloader = dict(dataset=dict(task='eurosat'))
val_dataloader = test_dataloader = train_dataloader
