_base_ = '../cam/cam_deit-small_ilsvrc.py'
model = dict(
    neck=dict(type='bas_mm.TokenNeck', attention=True),
    head=dict(type='bas_mm.TSCAMHead', kernel_size=3, threshold=0.12),
)
