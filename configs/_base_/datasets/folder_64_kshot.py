"""The folder of ``folder_64.py``, with 16 training images of each class."""

_base_ = './folder_64.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='KShot',
        shots=16,
        dataset=_base_.train_dataloader.dataset,
    )
)
