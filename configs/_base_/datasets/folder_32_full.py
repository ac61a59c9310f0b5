"""The folders of ``folder_32.py``, with all labels.

A tenth of the training images is for validation, all others are trained on.
"""

_base_ = './folder_32.py'

train_dataloader = dict(dataset=dict(part='train'))
val_dataloader = dict(
    dataset=dict(
        dataset=dict(
            _delete_=True, **_base_.val_dataloader.dataset.dataset.dataset
        )
    )
)
