_base_ = [
    '../_base_/models/bas_inception-v3.py',
    '../_base_/datasets/cub.py',
    '../_base_/schedules/cub.py',
    '../_base_/default_runtime.py',
]
model = dict(
    head=dict(
        num_classes=200,
        topk=200,
        threshold=0.1,
        loss=dict(alpha=0.5, beta=1.0),
    ),
)
