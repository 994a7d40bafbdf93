_base_ = '../cam/cam_efficientnet-lite0_cub.py'
# the first stage: an attention, read from the stem's features
model = dict(
    neck=dict(start='blocks.3'),
    head=dict(
        type='bas_mm.ORNetHead',
        map_channels=24,
        # a small U-Net, whose statistics must be there in a hundred steps
        width=16,
        momentum=0.1,
        init_cfg=dict(
            _delete_=True,
            type='Normal',
            std=0.01,
            bias=0.1,
            override=dict(name='classifier'),
        ),
    ),
)
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            'head.generator': dict(lr_mult=50),
            'head.classifier_of_maps': dict(lr_mult=50),
        }
    )
)
