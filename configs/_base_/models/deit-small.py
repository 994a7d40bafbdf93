# DeiT-S, whose patches are the map: 14x14 for a view of 224x224
model = dict(
    type='bas_mm.CAMClassifier',
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True
    ),
    backbone=dict(
        type='VisionTransformer',
        arch='deit-small',
        img_size=224,
        patch_size=16,
        out_type='featmap',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/deit/'
            'deit-small_pt-4xb256_in1k_20220218-9425b9bb.pth',
            prefix='backbone',
        ),
    ),
    neck=dict(type='bas_mm.SplitNeck'),
    head=dict(
        type='bas_mm.CAMHead',
        in_channels=384,
        num_convs=0,
        final_relu=False,
        init_cfg=dict(type='TruncNormal', layer='Conv2d', std=0.02),
    ),
)
