_base_ = '../cam/cam_efficientnet-lite0_custom.py'
stages = [
    dict(
        key='model.localizer.init_cfg.checkpoint',
        command='train',
        config='ornet-cam_efficientnet-lite0_custom',
    ),
    dict(
        key='model.classifier.init_cfg.checkpoint',
        command='train',
        config='cam_efficientnet-lite0_custom',
    ),
]
# the attention of the first stage, judged by a CAM that stays as it is
model = dict(
    _delete_=True,
    type='bas_mm.TwoNetworks',
    learn=('localizer',),
    localizer=dict(
        type='bas_mm.WSOLClassifier',
        data_preprocessor=_base_.model.data_preprocessor,
        backbone=dict(
            type='bas_mm.EfficientNetLite0',
            strides=(1, 2, 2, 2, 1, 1, 1),
            frozen_stages=8,
        ),
        neck=dict(type='bas_mm.SplitNeck', end='blocks.3'),
        head=dict(
            type='bas_mm.ORNetRefineHead',
            num_classes=2,
            map_channels=24,
            width=16,
            momentum=0.1,
            threshold='auto',
            # the authors' weight is for a hundred times as many steps
            loss=dict(type='bas_mm.ORNetLoss', area_weight=0.3),
        ),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/ornet-cam_efficientnet-lite0_custom/epoch_9.pth',
        ),
    ),
    classifier=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/cam_efficientnet-lite0_custom/epoch_9.pth',
        ),
        **_base_.model,
    ),
)
optim_wrapper = dict(
    _delete_=True,
    optimizer=dict(type='Adam', lr=1e-3),
    paramwise_cfg=dict(custom_keys={'generator.attention.1': dict(lr_mult=10)}),
)
