"""VPTM on NABirds: frozen BEiT v2 base, 224 px, shallow prompts.

    python tools/train.py configs/vptm_beitv2_nabirds.py

Result: not yet measured.
"""

_base_ = [
    './_base_/models/vptm_beitv2-base.py',
    './_base_/datasets/nabirds_224.py',
    './_base_/vptm_runtime.py',
    './_base_/schedules/vptm_100e.py',
]

model = dict(head=dict(num_classes=555))
