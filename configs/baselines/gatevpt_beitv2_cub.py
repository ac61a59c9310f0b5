"""GateVPT on CUB: 10 shallow prompts, a gate for each block.

    python tools/train.py configs/baselines/gatevpt_beitv2_cub.py

Result: not yet measured.
"""

_base_ = './linear-cls_beitv2_cub.py'

model = dict(
    backbone=dict(type='GateVPTBackbone', prompt_length=10, initial_gate=0.5)
)
