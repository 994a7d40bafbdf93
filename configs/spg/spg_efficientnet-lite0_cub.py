_base_ = '../cam/cam_efficientnet-lite0_cub.py'
model = dict(
    neck=dict(taps=['blocks.10', 'blocks.14']),
    head=dict(
        type='bas_mm.SPGHead',
        final_relu=False,
        topk=1,
        tap_channels=[112, 192],
        side_channels=128,
        mask_channels=128,
        # the short recipe's small weights are for the classifier
        init_cfg=dict(
            override=[
                dict(type='Xavier', name=name, distribution='uniform')
                for name in ['b1_head', 'b2_head', 'side_head', 'mask_head']
            ]
        ),
    ),
)
