_base_ = ['../cam/cam_mobilenet-v1_ilsvrc.py']
model = dict(
    head=dict(type='bas_mm.EILHead', erase_threshold=0.7),
)
