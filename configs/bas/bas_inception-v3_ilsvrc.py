_base_ = [
    '../_base_/models/bas_inception-v3.py',
    '../_base_/datasets/ilsvrc.py',
    '../_base_/schedules/ilsvrc.py',
    '../_base_/default_runtime.py',
]
model = dict(
    head=dict(
        num_classes=1000,
        topk=1,
        threshold=0.3,
        loss=dict(alpha=1.0, beta=2.5),
    ),
)
