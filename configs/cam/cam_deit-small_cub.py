_base_ = [
    '../_base_/models/deit-small.py',
    '../_base_/datasets/cub.py',
    '../_base_/schedules/adamw_cub.py',
    '../_base_/default_runtime.py',
]
model = dict(head=dict(num_classes=200, threshold='auto'))
train_dataloader = dict(batch_size=128)
