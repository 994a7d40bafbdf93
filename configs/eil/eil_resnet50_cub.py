_base_ = ['../cam/cam_resnet50_cub.py']
model = dict(
    head=dict(type='bas_mm.EILHead', erase_threshold=0.7),
)
