_base_ = [
    '../_base_/models/resnet50.py',
    '../_base_/datasets/cub.py',
    '../_base_/schedules/cub.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='bas_mm.BASClassifier',
    head=dict(
        type='bas_mm.BASHead',
        num_classes=200,
        map_channels=1024,
        topk=200,
        threshold=0.15,
        loss=dict(type='bas_mm.AMCLoss', alpha=0.5, beta=1.2, lambda_=1.0),
    ),
)
