"""Pre-train a tiny BEiT v2 on a labelled folder, and measure each round.

    IMAGE_FOLDER=path/to/images \
        python tools/train.py configs/pretrain/beitv2-tiny_labelled-folder.py

As ``beitv2-tiny_folder.py``, for folders as ``vptm_beitv2_folder.py`` reads
them: a sub-folder is a class. The training images are pre-trained on without
their labels. On the validation images it is measured how many masked visual
tokens are predicted, how the codebook is used and what its tokens have to do
with the classes; a linear probe learns the classes from the training images.
The test images are not read: they are left to the tasks, whose configs cut the
same parts. ``tools/pretrain.py`` adds rounds, with all of it in the card of
each.

Result: not yet measured.
"""

_base_ = './beitv2-tiny_folder.py'

# The whole image twice; of an image that is no square, its middle.
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
masked_pipeline = [
    *whole,
    dict(
        type='BlockMaskGenerator',
        input_size=(4, 4),
        num_masking_patches=6,
        min_num_patches=1,
    ),
    dict(type='PackInputs'),
]
images = dict(type='ImageFolder', data_root='{{$IMAGE_FOLDER:data/images}}')
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        **images,
        split='train',
        pipeline=_base_.train_pipeline,
    )
)
in_order = dict(
    batch_size=256,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
)
labelled = dict(
    **in_order, dataset=dict(**images, split='train', pipeline=whole_pipeline)
)
held_out = dict(
    **in_order, dataset=dict(**images, split='val', pipeline=whole_pipeline)
)
custom_hooks = [
    dict(type='FitTokenizerHook'),
    dict(
        type='MaskedTokenAccuracyHook',
        dataloader=dict(
            **in_order,
            dataset=dict(**images, split='val', pipeline=masked_pipeline),
        ),
    ),
    dict(type='TokenReportHook', dataloader=held_out),
    dict(
        type='LinearProbeHook',
        train_dataloader=labelled,
        test_dataloader=held_out,
    ),
    dict(
        type='ExportBackboneHook', filename='beitv2-tiny_labelled-folder.pth'
    ),
    dict(type='FiniteLossHook'),
]
