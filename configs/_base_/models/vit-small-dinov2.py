# ViT-S/14 as DINOv2 trained it, without labels; frozen. 16x16 patches for 224x224
model = dict(
    type='bas_mm.WSOLClassifier',
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True
    ),
    backbone=dict(
        type='VisionTransformer',
        arch='dinov2-small',
        img_size=224,
        patch_size=14,
        layer_scale_init_value=1e-5,
        out_type='featmap',
        frozen_stages=12,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmpretrain/v1.0/dinov2/'
            'vit-small-p14_dinov2-pre_3rdparty_20230426-5641ca5a.pth',
            prefix='backbone',
        ),
    ),
    neck=dict(type='bas_mm.TokenNeck', cls_token=True),
)
