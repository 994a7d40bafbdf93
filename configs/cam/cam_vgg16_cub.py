_base_ = [
    '../_base_/models/vgg16.py',
    '../_base_/datasets/cub.py',
    '../_base_/schedules/cub.py',
    '../_base_/default_runtime.py',
]
model = dict(head=dict(num_classes=200, topk=80, threshold=0.15))
