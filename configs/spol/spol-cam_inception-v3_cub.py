_base_ = '../cam/cam_inception-v3_cub.py'
# the first stage: maps that masks are made of
model = dict(
    neck=dict(taps=['Mixed_5d']),
    head=dict(
        _delete_=True,
        type='bas_mm.SPOLHead',
        num_classes=200,
        channels=(288, 768, 2048),
        threshold='auto',
        init_cfg=dict(
            type='Normal', std=0.01, bias=0.1, override=dict(name='classifier')
        ),
    ),
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'head.fusion': dict(lr_mult=10)}))
