_base_ = [
    '../_base_/models/efficientnet-lite0.py',
    '../_base_/datasets/ilsvrc.py',
    '../_base_/schedules/short.py',
    '../_base_/default_runtime.py',
]
model = dict(head=dict(num_classes=1000, topk=3, threshold=0.2))
# the view alone: a tenth of the cost of the ten-crop test
test_dataloader = dict(dataset=dict(pipeline=_base_.val_pipeline))
# an epoch has thousands of steps here, not a dozen: one alone, one with all
# terms
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=0.1, end=10),
    dict(type='MultiStepLR', by_epoch=True, milestones=[1], gamma=0.5),
]
train_cfg = dict(max_epochs=2, val_interval=2)
train_dataloader = dict(batch_size=16)
