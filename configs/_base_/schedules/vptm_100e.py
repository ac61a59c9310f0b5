"""AdamW over the trainable parameters, linear warm-up, cosine; 100 epochs.

The cosine ends with ``train_cfg.max_epochs``.
"""

optim_wrapper = dict(
    type='OptimWrapper',
    constructor='TunedOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-3,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min=0,
        by_epoch=True,
        begin=5,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(type='ResumableTrainLoop', max_epochs=100, val_interval=1)
val_cfg = dict()
test_cfg = dict()

# Learning rates are for this total batch size; see --auto-scale-lr.
auto_scale_lr = dict(base_batch_size=64)
