_base_ = ['../cam/cam_vgg16_cub.py', '../_base_/trees/cub.py']
model = dict(
    neck=dict(taps=['features.9', 'features.13']),
    head=dict(
        type='bas_mm.DANetHead',
        final_relu=False,
        topk=1,
        maps_per_class=8,
        levels=_base_.cub_levels,
        level_channels=[256, 512],
        level_widths=[512, 1024],
    ),
)
