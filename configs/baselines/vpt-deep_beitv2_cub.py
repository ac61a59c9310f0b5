"""VPT-deep on CUB: 10 prompts at each of the 12 blocks.

    python tools/train.py configs/baselines/vpt-deep_beitv2_cub.py

Result: not yet measured.
"""

_base_ = './linear-cls_beitv2_cub.py'

model = dict(
    backbone=dict(
        type='VPTBackbone', prompt_length=10, prompt_blocks=tuple(range(12))
    )
)
