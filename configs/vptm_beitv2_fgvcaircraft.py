"""VPTM on FGVC-Aircraft: frozen BEiT v2 base, 224 px, shallow prompts.

    python tools/train.py configs/vptm_beitv2_fgvcaircraft.py

Result: not yet measured.
"""

_base_ = [
    './_base_/models/vptm_beitv2-base.py',
    './_base_/datasets/fgvcaircraft_224.py',
    './_base_/vptm_runtime.py',
    './_base_/schedules/vptm_100e.py',
]

model = dict(head=dict(num_classes=100))
