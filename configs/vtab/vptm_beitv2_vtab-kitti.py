"""VPTM on VTAB-1k, structured: KITTI, distance of the closest vehicle.

    python tools/train.py configs/vtab/vptm_beitv2_vtab-kitti.py

4 classes, 711 test images. Result: not yet measured.
"""

_base_ = '../_base_/vptm_beitv2_vtab1k.py'

model = dict(head=dict(num_classes=4))
train_dataloader = dict(dataset=dict(task='kitti'))
val_dataloader = test_dataloader = train_dataloader
