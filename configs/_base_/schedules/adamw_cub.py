# For transformers, on CUB. Rate, epochs and batch are TS-CAM's; the shape of the
# schedule and the weight decay are this project's choice.
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=5e-5, weight_decay=5e-4),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        custom_keys={'_token': dict(decay_mult=0.0), 'pos': dict(decay_mult=0.0)},
    ),
)
param_scheduler = dict(type='CosineAnnealingLR', by_epoch=True, eta_min=1e-6)

train_cfg = dict(by_epoch=True, max_epochs=60, val_interval=10)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=128)
