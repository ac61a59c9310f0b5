"""Pre-train a tiny BEiT v2 on any folder of images, without labels.

    IMAGE_FOLDER=path/to/images \
        python tools/train.py configs/pretrain/beitv2-tiny_folder.py

Sub-folders do not matter. A fiftieth of the images is held out: on these it is
measured how many masked visual tokens are predicted and how the codebook is
used.

Measured on 2026-11-23, when no image was held out, two CPU cores with other
jobs beside it, seed 0, on the 50,000 training images of CIFAR-10: 90 minutes,
resumed once after epoch 9; masked visual tokens on the whole test images
20.2 % correct, the best constant answer 0.7 %.
"""

os = __import__('os')  # no import: see CONTRIBUTING.md

_base_ = [
    '../_base_/models/beitv2-tiny_pretrain.py',
    '../_base_/schedules/beitv2_pretrain.py',
    '../_base_/default_runtime.py',
]

num_visual_tokens = 512
model = dict(
    head=dict(num_embed=num_visual_tokens),
    target_generator=dict(num_visual_tokens=num_visual_tokens),
)

warmup_epochs = 1
masks = dict(
    type='BlockMaskGenerator',
    input_size=(4, 4),
    num_masking_patches=6,
    min_num_patches=1,
)
train_pipeline = [
    # 80,000 images of 32 px in each worker.
    dict(type='LoadCheckedImage', cache_mb=256),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(
        type='TwoViewCrop',
        size=32,
        second_size=32,
        interpolation='bicubic',
        second_interpolation='bicubic',
        scale=(0.4, 1.0),
    ),
    masks,
    dict(type='PackInputs'),
]
# The whole image twice; of an image that is not square, its middle.
whole = [
    dict(type='LoadCheckedImage'),
    dict(
        type='TwoViewCrop',
        size=32,
        second_size=32,
        interpolation='bicubic',
        second_interpolation='bicubic',
        scale=(1.0, 1.0),
        ratio=(1.0, 1.0),
    ),
]
whole_pipeline = [*whole, dict(type='PackInputs')]
masked_pipeline = [*whole, masks, dict(type='PackInputs')]
images = dict(
    type='ImageFolder',
    data_root=os.environ.get('IMAGE_FOLDER', 'data/images'),
    split='all',
    with_label=False,
)
cut = dict(type='TrainValSplit', val_fraction=0.02)
train_dataloader = dict(
    batch_size=256,
    num_workers=2,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        **cut, part='train', dataset=dict(**images, pipeline=train_pipeline)
    ),
)
in_order = dict(
    batch_size=256,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
)
train_cfg = dict(type='ResumableTrainLoop', max_epochs=25)
param_scheduler = [
    dict(_base_.param_scheduler[0], end=warmup_epochs),
    dict(_base_.param_scheduler[1], begin=warmup_epochs),
]
default_hooks = dict(
    fit_tokenizer=dict(type='FitTokenizerHook'),
    report=dict(
        type='PretrainingReportHook',
        masked_tokens=dict(
            **in_order,
            dataset=dict(
                **cut,
                part='val',
                dataset=dict(**images, pipeline=masked_pipeline),
            ),
        ),
        visual_tokens=dict(
            **in_order,
            dataset=dict(
                **cut,
                part='val',
                dataset=dict(**images, pipeline=whole_pipeline),
            ),
        ),
    ),
    export=dict(type='ExportWeightsHook', filename='beitv2-tiny_folder.pth'),
)
