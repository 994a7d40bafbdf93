# cut after conv4_3 + ReLU, before pool4; pool5 removed. Two things are not the
# authors': the ImageNet weights are OpenMMLab's, and the biases of new layers start
# at 0 (theirs at PyTorch's default).
model = dict(
    type='bas_mm.CAMClassifier',
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True
    ),
    backbone=dict(
        type='VGG',
        depth=16,
        with_last_pool=False,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/vgg/'
            'vgg16_batch256_imagenet_20210208-db26f1a5.pth',
            prefix='backbone',
        ),
    ),
    neck=dict(type='bas_mm.SplitNeck', start='features.13'),
    head=dict(
        type='bas_mm.CAMHead',
        in_channels=512,
        init_cfg=dict(type='Normal', layer='Conv2d', std=0.02),
    ),
)
