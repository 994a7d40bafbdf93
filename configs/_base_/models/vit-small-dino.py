# ViT-S/16 as DINO trained it, without labels; the keys of its last layer
model = dict(
    type='bas_mm.WSOLClassifier',
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True
    ),
    backbone=dict(
        type='bas_mm.DINOVisionTransformer',
        arch='deit-small',
        img_size=224,
        patch_size=16,
        out_type='featmap',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://dl.fbaipublicfiles.com/dino/'
            'dino_deitsmall16_pretrain/dino_deitsmall16_pretrain.pth',
        ),
    ),
    neck=dict(type='bas_mm.TokenNeck', keys=-1),
)
