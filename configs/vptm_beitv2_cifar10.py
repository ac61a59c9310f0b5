"""VPTM on CIFAR-10: frozen BEiT v2 base, 224 px, shallow prompts.

    python tools/train.py configs/vptm_beitv2_cifar10.py

Result: not yet measured.
"""

_base_ = [
    './_base_/models/vptm_beitv2-base.py',
    './_base_/datasets/cifar10_224.py',
    './_base_/vptm_runtime.py',
    './_base_/schedules/vptm_20e.py',
]

model = dict(head=dict(num_classes=10))
