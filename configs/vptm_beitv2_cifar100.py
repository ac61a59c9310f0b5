"""VPTM on CIFAR-100: frozen BEiT v2 base, 224 px, shallow prompts.

    python tools/train.py configs/vptm_beitv2_cifar100.py

Result: not yet measured.
"""

_base_ = [
    './_base_/models/vptm_beitv2-base.py',
    './_base_/datasets/cifar100_224.py',
    './_base_/vptm_runtime.py',
    './_base_/schedules/vptm_20e.py',
]

model = dict(head=dict(num_classes=100))
