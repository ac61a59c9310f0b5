"""VPTM on VTAB-1k, specialized: Patch Camelyon.

    python tools/train.py configs/vtab/vptm_beitv2_vtab-patch_camelyon.py

2 classes, 32,768 test images. Result: not yet measured.
"""

_base_ = '../_base_/vptm_beitv2_vtab1k.py'

model = dict(head=dict(num_classes=2))
train_dataloader = dict(dataset=dict(task='patch_camelyon'))
val_dataloader = test_dataloader = train_dataloader
