"""The folders of ``folder_32.py``, with some of their classes and images.

``train_dataloader.dataset.shots`` images of each class are sampled from its
labelled images, 500 by default, of ``ways`` classes, 10 by default. The data
loaders of all three parts and ``model.head.num_classes`` need the same number
of classes.
"""

_base_ = './folder_32.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='KShot',
        shots=500,
        dataset=dict(
            type='NWay', ways=10, dataset=_base_.train_dataloader.dataset
        ),
    )
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='NWay',
        ways=10,
        dataset=_base_.val_dataloader.dataset,
    )
)
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='NWay',
        ways=10,
        dataset=_base_.test_dataloader.dataset,
    )
)
