default_scope = 'mmpretrain'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=10),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='VisualizationHook', enable=False),
    class_check=dict(type='bas_mm.ClassCheckHook'),
    finite=dict(type='bas_mm.FiniteHook'),
    monitor=dict(type='bas_mm.WSOLMonitorHook'),
    grid=dict(type='bas_mm.GridHook'),
    calibrate=dict(type='bas_mm.CalibrateHook'),
)

# of the box that the model gives (`model.head.threshold`)
val_evaluator = dict(type='bas_mm.WSOLAccuracy')
# the whole suite; what a data set has no boxes or masks for is left out
test_evaluator = [
    dict(type='bas_mm.WSOLAccuracy'),
    dict(type='bas_mm.WSOLAccuracy', threshold='best', prefix='wsol_best'),
    dict(type='bas_mm.MaxBoxAcc'),
    dict(type='bas_mm.PxAP'),
    dict(type='bas_mm.PeakIoU'),
    dict(type='bas_mm.LocErrors'),
    dict(type='bas_mm.LocBreakdown'),
]
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
    # on a CPU, do not hand memory back to the kernel at every step
    keep_memory=True,
)

visualizer = dict(
    type='bas_mm.WSOLVisualizer', vis_backends=[dict(type='LocalVisBackend')]
)

log_level = 'INFO'
load_from = None
resume = False
randomness = dict(seed=None, deterministic=False)
