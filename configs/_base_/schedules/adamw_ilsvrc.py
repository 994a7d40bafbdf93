# For transformers, on ILSVRC. Rate and batch are TS-CAM's.
_base_ = './adamw_cub.py'
optim_wrapper = dict(optimizer=dict(lr=5e-4))
train_cfg = dict(max_epochs=12, val_interval=1)
auto_scale_lr = dict(base_batch_size=256)
