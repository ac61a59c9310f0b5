"""VPTM on CUB with late prompts: 10 at block 8 of 0 to 11.

    python tools/train.py configs/baselines/vptm-late_beitv2_cub.py

Result: not yet measured.
"""

_base_ = '../vptm_beitv2_cub.py'

model = dict(backbone=dict(prompt_blocks=(8,)))
