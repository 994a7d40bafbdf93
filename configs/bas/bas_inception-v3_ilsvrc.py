_base_ = [
    '../_base_/models/inception-v3.py',
    '../_base_/datasets/ilsvrc.py',
    '../_base_/schedules/ilsvrc.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='bas_mm.BASClassifier',
    head=dict(
        type='bas_mm.BASHead',
        num_classes=1000,
        map_channels=768,
        topk=1,
        threshold=0.3,
        loss=dict(type='bas_mm.AMCLoss', alpha=1.0, beta=2.5, lambda_=1.0),
    ),
)
