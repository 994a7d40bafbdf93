# cut after block 11, before the stride-2 block 12
model = dict(
    type='bas_mm.CAMClassifier',
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True
    ),
    backbone=dict(
        type='bas_mm.MobileNetV1',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://storage.googleapis.com/models-hao/'
            'mobilenet_v1_with_relu_69_5.pth',
        ),
    ),
    neck=dict(type='bas_mm.SplitNeck', start='model.12'),
    head=dict(
        type='bas_mm.CAMHead',
        in_channels=1024,
        init_cfg=dict(type='Xavier', layer='Conv2d', distribution='uniform'),
    ),
)
