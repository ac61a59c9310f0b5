"""GateVPT on the digits: 10 shallow prompts, a gate for each block.

    python tools/train.py configs/baselines/gatevpt_beitv2-tiny_digits.py

Result: top-1 69.5 ± 2.2 % on the test set (2026-11-26, CPU, 5 seeds).
"""

_base_ = './linear-cls_beitv2-tiny_digits.py'

model = dict(
    backbone=dict(type='GateVPTBackbone', prompt_length=10, initial_gate=0.5)
)
optim_wrapper = dict(optimizer=dict(lr=5e-2))
