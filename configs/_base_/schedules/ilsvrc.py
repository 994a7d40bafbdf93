# The recipe of the paper on ILSVRC: 4 GPUs with 32 images each.
_base_ = ['./cub.py']
param_scheduler = dict(
    _delete_=True, type='StepLR', by_epoch=True, step_size=3, gamma=0.1
)
train_cfg = dict(max_epochs=9, val_interval=1)
auto_scale_lr = dict(base_batch_size=128)
