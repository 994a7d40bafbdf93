_base_ = ['../cam/cam_mobilenet-v1_cub.py', '../_base_/methods/pseudo_boxes.py']
# a box regressor, and CAM's classifier beside it
model = dict(
    _delete_=True,
    type='bas_mm.TwoNetworks',
    learn=('localizer', 'classifier'),
    localizer=dict(
        type='bas_mm.WSOLClassifier',
        data_preprocessor=_base_.model.data_preprocessor,
        backbone=_base_.model.backbone,
        neck=_base_.model.neck,
        head=dict(type='bas_mm.BoxHead', in_channels=1024, map_size=224),
    ),
    classifier=_base_.model,
)
train_dataloader = dict(dataset=dict(pipeline=_base_.box_pipeline))
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={'localizer.head': dict(lr_mult=2)})
)
