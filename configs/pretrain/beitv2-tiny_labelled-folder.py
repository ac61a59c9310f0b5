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

os = __import__('os')  # no import: see CONTRIBUTING.md

_base_ = './beitv2-tiny_folder.py'

images = dict(
    type='ImageFolder', data_root=os.environ.get('IMAGE_FOLDER', 'data/images')
)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        **images,
        split='train',
        pipeline=_base_.train_pipeline,
    )
)
labelled = dict(
    **_base_.in_order,
    dataset=dict(**images, split='train', pipeline=_base_.whole_pipeline),
)
held_out = dict(
    **_base_.in_order,
    dataset=dict(**images, split='val', pipeline=_base_.whole_pipeline),
)
default_hooks = dict(
    report=dict(
        masked_tokens=dict(
            _delete_=True,
            **_base_.in_order,
            dataset=dict(
                **images, split='val', pipeline=_base_.masked_pipeline
            ),
        ),
        visual_tokens=dict(_delete_=True, **held_out),
        baseline='vptm_mm://beitv2-mini_tinyimagenet.pth',
        linear_probes=dict(
            linear_probe=dict(
                train_dataloader=labelled, test_dataloader=held_out
            )
        ),
    ),
    export=dict(filename='beitv2-tiny_labelled-folder.pth'),
)
