# The recipe of the journal version of BAS on OpenImages.
_base_ = ['./cub.py']
param_scheduler = dict(milestones=[20])
train_cfg = dict(max_epochs=50)
auto_scale_lr = dict(base_batch_size=64)
