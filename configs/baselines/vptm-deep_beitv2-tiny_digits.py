"""VPTM on the digits with deep prompts: 10 at each of the 6 blocks.

    python tools/train.py configs/baselines/vptm-deep_beitv2-tiny_digits.py

Result: top-1 85.1 ± 1.6 % on the test set (2026-11-26, CPU, 5 seeds).
"""

_base_ = '../vptm_beitv2-tiny_digits.py'

model = dict(backbone=dict(prompt_blocks=(0, 1, 2, 3, 4, 5)))
optim_wrapper = dict(optimizer=dict(lr=5e-2))
