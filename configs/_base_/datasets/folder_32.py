"""A folder of 32 px images for training and one for testing, by class.

A tenth of the training images has labels to train on; a tenth of the rest is
for validation. ``TRAIN_FOLDER`` and ``TEST_FOLDER`` in the environment give
the folders, ``data/train`` and ``data/test`` by default.
"""

os = __import__('os')  # no import: see CONTRIBUTING.md

train_folder = os.environ.get('TRAIN_FOLDER', 'data/train')
test_folder = os.environ.get('TEST_FOLDER', 'data/test')

train_pipeline = [
    dict(type='LoadCheckedImage'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='LoadCheckedImage'), dict(type='PackInputs')]

train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        type='TrainValSplit',
        part='val',
        val_fraction=0.1,
        dataset=dict(
            type='CustomDataset',
            data_root=train_folder,
            pipeline=train_pipeline,
        ),
    ),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        type='TrainValSplit',
        part='val',
        val_fraction=0.1,
        dataset=dict(
            type='TrainValSplit',
            part='train',
            val_fraction=0.1,
            dataset=dict(
                type='CustomDataset',
                data_root=train_folder,
                pipeline=test_pipeline,
            ),
        ),
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = dict(
    batch_size=128,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        type='CustomDataset', data_root=test_folder, pipeline=test_pipeline
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
val_evaluator = dict(type='Accuracy', topk=(1,))
test_evaluator = val_evaluator
