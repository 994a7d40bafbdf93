_base_ = ['../cam/cam_vgg16_cub.py']
model = dict(
    neck=dict(start='features.14'),  # behind pool4
    head=dict(type='bas_mm.EILHead', erase_threshold=0.7),
)
