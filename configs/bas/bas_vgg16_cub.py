_base_ = [
    '../_base_/models/bas_vgg16.py',
    '../_base_/datasets/cub.py',
    '../_base_/schedules/cub.py',
    '../_base_/default_runtime.py',
]
model = dict(
    head=dict(
        num_classes=200,
        topk=80,
        threshold=0.15,
        loss=dict(alpha=0.0, beta=0.7),
    ),
)
