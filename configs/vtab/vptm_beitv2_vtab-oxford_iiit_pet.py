"""VPTM on VTAB-1k, natural: Oxford-IIIT Pets.

    python tools/train.py configs/vtab/vptm_beitv2_vtab-oxford_iiit_pet.py

37 classes, 3,669 test images. Result: not yet measured.
"""

_base_ = '../_base_/vptm_beitv2_vtab1k.py'

model = dict(head=dict(num_classes=37))
train_dataloader = dict(dataset=dict(task='oxford_iiit_pet'))
val_dataloader = test_dataloader = train_dataloader
