_base_ = [
    '../_base_/models/deit-small.py',
    '../_base_/datasets/toy.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(head=dict(num_classes=6, threshold='auto'))
