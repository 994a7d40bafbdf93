_base_ = '../cam/cam_mobilenet-v1_ilsvrc.py'
stages = [
    dict(
        key='model.classifier.init_cfg.checkpoint',
        command='train',
        config='cam_mobilenet-v1_ilsvrc',
    ),
]
# a regressed ellipse, judged by a CAM that is trained before and stays as it is
model = dict(
    _delete_=True,
    type='bas_mm.TwoNetworks',
    learn=('localizer',),
    localizer=dict(
        type='bas_mm.WSOLClassifier',
        data_preprocessor=_base_.model.data_preprocessor,
        backbone=_base_.model.backbone,
        neck=_base_.model.neck,
        head=dict(type='bas_mm.GCNetHead', in_channels=1024, map_size=224),
    ),
    classifier=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/cam_mobilenet-v1_ilsvrc/epoch_9.pth',
        ),
        **_base_.model,
    ),
)
optim_wrapper = dict(
    _delete_=True,
    optimizer=dict(type='Adam', lr=1e-4),
    paramwise_cfg=dict(
        custom_keys={
            '.bias': dict(lr_mult=2),
            'localizer.head': dict(lr_mult=10),
            'localizer.head.ellipse.bias': dict(lr_mult=20),
        }
    ),
)
