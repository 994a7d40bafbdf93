_base_ = ['../cam/cam_efficientnet-lite0_cub.py', '../_base_/trees/cub.py']
model = dict(
    neck=dict(taps=['blocks.4', 'blocks.10']),
    head=dict(
        type='bas_mm.DANetHead',
        final_relu=False,
        maps_per_class=4,
        levels=_base_.cub_levels,
        level_channels=[40, 112],
        level_widths=[64, 128],
        # the short recipe's small weights are for the classifier
        init_cfg=dict(
            override=dict(type='Xavier', name='levels', distribution='uniform')
        ),
    ),
)
