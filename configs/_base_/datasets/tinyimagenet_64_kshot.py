"""Tiny-ImageNet at 64 px, with 20 labelled images of each of 200 classes.

``TINYIMAGENET`` in the environment gives the folder of ``train/CLASS/*.jpg``
and ``val/CLASS/*.jpg``. A hundredth of the training images is for validation,
a quarter of the official validation images for testing.
"""

os = __import__('os')  # no import: see CONTRIBUTING.md

_base_ = './cifar10_64_kshot.py'

folder = os.environ.get('TINYIMAGENET', 'data/tinyimagenet64')
images = dict(type='CustomDataset', data_root=f'{folder}/train')
cut = dict(type='TrainValSplit', val_fraction=0.01)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='KShot',
        shots=20,
        dataset=dict(
            **cut,
            part='train',
            dataset=dict(**images, pipeline=_base_.train_pipeline),
        ),
    )
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        **cut,
        part='val',
        dataset=dict(**images, pipeline=_base_.test_pipeline),
    )
)
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='TrainValSplit',
        part='val',
        val_fraction=0.25,
        dataset=dict(
            type='CustomDataset',
            data_root=f'{folder}/val',
            pipeline=_base_.test_pipeline,
        ),
    )
)
