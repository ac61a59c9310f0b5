"""LoRA on CUB: query and value of each block, rank 4.

    python tools/train.py configs/baselines/lora_beitv2_cub.py

Result: not yet measured.
"""

_base_ = './linear-cls_beitv2_cub.py'

model = dict(backbone=dict(type='LoRABackbone', rank=4, alpha=4.0))
optim_wrapper = dict(optimizer=dict(lr=1e-3))
