_base_ = '../cam/cam_deit-small_toy.py'
model = dict(
    backbone=dict(type='bas_mm.SATVisionTransformer', drop_path_rate=0.1),
    neck=dict(type='bas_mm.TokenNeck', gates=True),
    head=dict(type='bas_mm.SATHead', kernel_size=3, tau=0.25),
)
optim_wrapper = dict(optimizer=dict(weight_decay=0.05))
