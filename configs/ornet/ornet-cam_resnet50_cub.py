_base_ = '../cam/cam_resnet50_cub.py'
# the first stage: an attention, read from the stem's features; layer3 keeps its
# stride, as the pool of the other cut is not there
model = dict(
    backbone=dict(strides=(1, 2, 2, 1)),
    neck=dict(start='layer1', pool=None),
    head=dict(
        type='bas_mm.ORNetHead',
        map_channels=64,
        num_convs=0,
        threshold='auto',
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
    paramwise_cfg=dict(custom_keys={'head.generator': dict(lr_mult=1)})
)
