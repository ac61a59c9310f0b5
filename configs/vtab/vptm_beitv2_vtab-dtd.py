"""VPTM on VTAB-1k, natural: DTD.

    python tools/train.py configs/vtab/vptm_beitv2_vtab-dtd.py

47 classes, 1,880 test images. Result: not yet measured.
"""

_base_ = '../_base_/vptm_beitv2_vtab1k.py'

model = dict(head=dict(num_classes=47))
train_dataloader = dict(dataset=dict(task='dtd'))
val_dataloader = test_dataloader = train_dataloader
