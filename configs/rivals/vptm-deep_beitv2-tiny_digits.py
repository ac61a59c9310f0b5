"""VPTM on the digits with deep prompts: 10 at each of the 6 blocks.

    python tools/train.py configs/rivals/vptm-deep_beitv2-tiny_digits.py

Result: top-1 86.4 ± 1.5 % on the test set (2026-11-24, CPU, 5 seeds, learning
rate as in docs/results.md).
"""

_base_ = '../vptm_beitv2-tiny_digits.py'

model = dict(backbone=dict(prompt_blocks=(0, 1, 2, 3, 4, 5)))
