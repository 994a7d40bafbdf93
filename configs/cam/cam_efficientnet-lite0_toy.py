_base_ = [
    '../_base_/models/efficientnet-lite0.py',
    '../_base_/datasets/toy.py',
    '../_base_/schedules/short.py',
    '../_base_/default_runtime.py',
]
model = dict(head=dict(num_classes=6, topk=3, threshold='auto'))
