# The recipe of the paper on CUB: weight decay on everything, biases at twice
# the rate of their weights, new layers at ten times the backbone's rate. Of
# the keys that match a parameter the longest wins.
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=1e-3, momentum=0.9, nesterov=True, weight_decay=5e-4),
    paramwise_cfg=dict(
        custom_keys={
            '.bias': dict(lr_mult=2),
            'head.generator': dict(lr_mult=10),
            'head.classifier': dict(lr_mult=10),
            'head.generator.bias': dict(lr_mult=20),
            'head.classifier.0.bias': dict(lr_mult=20),
            'head.classifier.2.bias': dict(lr_mult=20),
            'head.classifier.4.bias': dict(lr_mult=20),
        }
    ),
)
param_scheduler = dict(type='MultiStepLR', by_epoch=True, milestones=[80], gamma=0.1)

train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=10)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=32)
