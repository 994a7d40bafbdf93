_base_ = '../cam/cam_deit-small_cub.py'
model = dict(
    backbone=dict(type='bas_mm.SATVisionTransformer', drop_path_rate=0.1),
    neck=dict(type='bas_mm.TokenNeck', gates=True),
    head=dict(type='bas_mm.SATHead', kernel_size=3, tau=0.25),
)
optim_wrapper = dict(optimizer=dict(lr=1e-4, weight_decay=0.05))
train_cfg = dict(max_epochs=30)
train_dataloader = dict(batch_size=256)
auto_scale_lr = dict(base_batch_size=256)
