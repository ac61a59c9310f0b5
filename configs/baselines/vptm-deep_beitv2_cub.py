"""VPTM on CUB with deep prompts: 10 at each of the 12 blocks.

    python tools/train.py configs/baselines/vptm-deep_beitv2_cub.py

Result: not yet measured.
"""

_base_ = '../vptm_beitv2_cub.py'

model = dict(backbone=dict(prompt_blocks=tuple(range(12))))
