# For transformers, on a few hundred images.
_base_ = './adamw_cub.py'
optim_wrapper = dict(optimizer=dict(lr=1e-4))
train_cfg = dict(max_epochs=9, val_interval=9)
auto_scale_lr = dict(base_batch_size=16)
