"""VPTM on VTAB-1k, specialized: Diabetic Retinopathy.

    python tools/train.py configs/vtab/vptm_beitv2_vtab-diabetic_retinopathy.py

5 classes, 42,670 test images. Result: not yet measured.
"""

_base_ = '../_base_/vptm_beitv2_vtab1k.py'

model = dict(head=dict(num_classes=5))
train_dataloader = dict(dataset=dict(task='diabetic_retinopathy'))
val_dataloader = test_dataloader = train_dataloader
