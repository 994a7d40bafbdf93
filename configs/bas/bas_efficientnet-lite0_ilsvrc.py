_base_ = [
    '../_base_/models/efficientnet-lite0.py',
    '../_base_/datasets/ilsvrc.py',
    '../_base_/schedules/short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='bas_mm.BASClassifier',
    head=dict(
        type='bas_mm.BASHead',
        num_classes=1000,
        map_channels=112,
        topk=3,
        threshold=0.2,
        loss=dict(type='bas_mm.AMCLoss', alpha=0.5, beta=2.0, lambda_=1.0),
        init_cfg=dict(
            override=dict(type='Normal', name='generator', std=0.01, bias=0.0)
        ),
    ),
)
default_hooks = dict(warmup=dict(type='bas_mm.ClsWarmupHook', epochs=1))
# the view alone: a tenth of the cost of the ten-crop test
test_dataloader = dict(dataset=dict(pipeline=_base_.val_pipeline))
# an epoch has thousands of steps here, not a dozen: one alone, one with all
# terms
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=0.1, end=10),
    dict(type='MultiStepLR', by_epoch=True, milestones=[1], gamma=0.5),
]
train_cfg = dict(max_epochs=2, val_interval=2)
train_dataloader = dict(batch_size=16)
