_base_ = [
    '../_base_/models/deit-small.py',
    '../_base_/datasets/ilsvrc.py',
    '../_base_/schedules/adamw_ilsvrc.py',
    '../_base_/default_runtime.py',
]
model = dict(head=dict(num_classes=1000, threshold='auto'))
train_dataloader = dict(batch_size=256)
