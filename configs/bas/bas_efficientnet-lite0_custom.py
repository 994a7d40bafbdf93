_base_ = [
    '../_base_/models/efficientnet-lite0.py',
    '../_base_/datasets/custom.py',
    '../_base_/schedules/short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='bas_mm.BASClassifier',
    head=dict(
        type='bas_mm.BASHead',
        num_classes=2,
        map_channels=112,
        topk=3,
        threshold=0.2,
        loss=dict(type='bas_mm.AMCLoss', alpha=0.5, beta=2.0, lambda_=1.0),
        init_cfg=dict(
            override=dict(type='Normal', name='generator', std=0.01, bias=0.0)
        ),
    ),
)
default_hooks = dict(warmup=dict(type='bas_mm.ClsWarmupHook', epochs=5))
# the folders are the classes: the tools count them
num_classes_from_data = True
