"""The folders of ``folder_32.py``, with a few labelled images of each class.

They are sampled from its labelled images. A fiftieth of the others is for
validation, a quarter of the test images for testing: with so few images to
train on, most of the time would go into looking at thousands.
"""

_base_ = './folder_32.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='KShot',
        shots=16,
        dataset=_base_.train_dataloader.dataset,
    )
)
val_dataloader = dict(dataset=dict(val_fraction=0.02))
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='TrainValSplit',
        part='val',
        val_fraction=0.25,
        dataset=_base_.test_dataloader.dataset,
    )
)
