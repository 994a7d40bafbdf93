_base_ = ['../cam/cam_inception-v3_cub.py', '../_base_/trees/cub.py']
model = dict(
    neck=dict(taps=['maxpool2', 'Mixed_5d']),
    head=dict(
        type='bas_mm.DANetHead',
        final_relu=False,
        topk=1,
        maps_per_class=4,
        levels=_base_.cub_levels,
        level_channels=[192, 288],
        level_widths=[256, 384],
    ),
)
