_base_ = ['../cam/cam_vgg16_cub.py']
# erased behind pool4 and behind conv5_3: our reading of the paper
model = dict(
    neck=dict(start=None, taps=['features.13']),
    head=dict(type='bas_mm.EILHead', erase_threshold=0.7, stages=(1, -1)),
)
