"""224 px; the data set has splits ``train``, ``val`` and ``test``.

Who inherits names it in the ``dataset`` of each loader.
"""

_base_ = './loaders_224.py'

train_dataloader = dict(
    dataset=dict(split='train', pipeline=_base_.train_pipeline)
)
val_dataloader = dict(dataset=dict(split='val', pipeline=_base_.test_pipeline))
test_dataloader = dict(
    dataset=dict(split='test', pipeline=_base_.test_pipeline)
)
