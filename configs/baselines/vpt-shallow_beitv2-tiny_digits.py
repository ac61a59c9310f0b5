"""VPT-shallow on the digits: 10 prompts at the first block.

    python tools/train.py configs/baselines/vpt-shallow_beitv2-tiny_digits.py

Result: top-1 72.8 ± 1.9 % on the test set (2026-11-26, CPU, 5 seeds).
"""

_base_ = './linear-cls_beitv2-tiny_digits.py'

model = dict(
    backbone=dict(type='VPTBackbone', prompt_length=10, prompt_blocks=(0,))
)
optim_wrapper = dict(optimizer=dict(lr=5e-2))
