# For a few hundred images and minutes: the classifier alone first, then
# all terms at half the rate. With all terms from the first step S_bg / S
# stays near 1 while the classifier knows nothing, and the map vanishes.
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=2e-3, momentum=0.9, nesterov=True, weight_decay=5e-4),
    paramwise_cfg=dict(
        custom_keys={
            'head.generator': dict(lr_mult=10),
            'head.classifier': dict(lr_mult=10),
        }
    ),
)
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=0.1, end=10),
    dict(type='MultiStepLR', by_epoch=True, milestones=[5], gamma=0.5),
]
train_cfg = dict(by_epoch=True, max_epochs=9, val_interval=9)
val_cfg = dict()
test_cfg = dict()
