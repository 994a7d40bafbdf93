# An epoch has thousands of steps here, not a dozen: one of the classifier alone,
# one with all terms.
_base_ = './short.py'
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=0.1, end=10),
    dict(type='MultiStepLR', by_epoch=True, milestones=[1], gamma=0.5),
]
train_cfg = dict(max_epochs=2, val_interval=2)
