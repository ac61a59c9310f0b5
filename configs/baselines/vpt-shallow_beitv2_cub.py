"""VPT-shallow on CUB: 10 prompts at the first block.

    python tools/train.py configs/baselines/vpt-shallow_beitv2_cub.py

Result: not yet measured.
"""

_base_ = './linear-cls_beitv2_cub.py'

model = dict(
    backbone=dict(type='VPTBackbone', prompt_length=10, prompt_blocks=(0,))
)
