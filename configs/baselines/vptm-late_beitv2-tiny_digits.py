"""VPTM on the digits with late prompts: 10 at block 4 of 0 to 5.

    python tools/train.py configs/baselines/vptm-late_beitv2-tiny_digits.py

Result: top-1 88.4 ± 0.3 % on the test set (2026-11-26, CPU, 5 seeds).
"""

_base_ = '../vptm_beitv2-tiny_digits.py'

model = dict(backbone=dict(prompt_blocks=(4,)))
optim_wrapper = dict(optimizer=dict(lr=6.25e-4))
