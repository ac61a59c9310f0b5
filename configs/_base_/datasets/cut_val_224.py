"""224 px; a seeded tenth of each class's training images is for validation.

Who inherits names the training set in ``train_dataloader.dataset.dataset``
and ``val_dataloader.dataset.dataset``, the test set in
``test_dataloader.dataset``.
"""

_base_ = './loaders_224.py'

train_dataloader = dict(
    dataset=dict(
        type='TrainValSplit',
        part='train',
        dataset=dict(pipeline=_base_.train_pipeline),
    )
)
val_dataloader = dict(
    dataset=dict(
        type='TrainValSplit',
        part='val',
        dataset=dict(pipeline=_base_.test_pipeline),
    )
)
test_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
