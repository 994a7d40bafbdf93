_base_ = '../cam/cam_vgg16_ilsvrc.py'
# a map of no class, learned without labels, and CAM's classifier beside it
model = dict(
    _delete_=True,
    type='bas_mm.TwoNetworks',
    learn=('localizer', 'classifier'),
    localizer=dict(
        type='bas_mm.WSOLClassifier',
        data_preprocessor=_base_.model.data_preprocessor,
        backbone=_base_.model.backbone,
        neck=_base_.model.neck,
        head=dict(
            type='bas_mm.C2AMHead',
            in_channels=1024,
            threshold='auto',
            loss=dict(type='bas_mm.C2AMLoss', alpha=0.05),
        ),
    ),
    classifier=_base_.model,
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(localizer=dict(lr_mult=0.1))))
