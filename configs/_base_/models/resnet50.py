# cut after layer3; a 2x2 max-pool in place of layer3's stride
model = dict(
    type='bas_mm.CAMClassifier',
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True
    ),
    backbone=dict(
        type='ResNet',
        depth=50,
        strides=(1, 2, 1, 1),
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
    ),
    neck=dict(type='bas_mm.SplitNeck', start='layer4', pool=2),
    head=dict(
        type='bas_mm.CAMHead',
        in_channels=2048,
        init_cfg=dict(type='Xavier', layer='Conv2d', distribution='uniform'),
    ),
)
