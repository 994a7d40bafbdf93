# cut after Mixed_6e
model = dict(
    type='bas_mm.CAMClassifier',
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True
    ),
    backbone=dict(
        type='bas_mm.WSOLInceptionV3',
        init_cfg=dict(
            type='Pretrained', checkpoint='torchvision://inception_v3_google'
        ),
    ),
    neck=dict(type='bas_mm.SplitNeck', start='Mixed_7a'),
    head=dict(
        type='bas_mm.CAMHead',
        in_channels=2048,
        init_cfg=dict(type='Xavier', layer='Conv2d', distribution='uniform'),
    ),
)
