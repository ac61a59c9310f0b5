"""VPTM on VTAB-1k, structured: Clevr, number of objects.

    python tools/train.py configs/vtab/vptm_beitv2_vtab-clevr_count.py

8 classes, 15,000 test images. Result: not yet measured.
"""

_base_ = '../_base_/vptm_beitv2_vtab1k.py'

model = dict(head=dict(num_classes=8))
train_dataloader = dict(dataset=dict(task='clevr_count'))
val_dataloader = test_dataloader = train_dataloader
