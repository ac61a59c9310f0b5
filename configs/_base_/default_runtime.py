"""What every run shares: plugin, hooks, environment, seed."""

default_scope = 'mmpretrain'
custom_imports = dict(imports=['vptm_mm'], allow_failed_imports=False)
# So that MMPretrain's own tools start several processes on CPUs, too.
runner_type = 'AnyDeviceRunner'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='ResumableCheckpointHook',
        interval=1,
        max_keep_ckpts=2,
        backend_args=dict(backend='whole_file'),
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='VisualizationHook', enable=False),
    checkpoint_check=dict(type='CheckpointCheckHook'),
    finite_loss=dict(type='FiniteLossHook'),
    scalars=dict(type='TuningScalarsHook', interval=10),
    record=dict(type='RunRecordHook'),
)
custom_hooks = []  # for hooks of yours

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)

vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='UniversalVisualizer', vis_backends=vis_backends)
log_level = 'INFO'
load_from = None
resume = False
randomness = dict(seed=0, deterministic=False)
