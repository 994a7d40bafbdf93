_base_ = [
    '../cam/cam_vgg16_ilsvrc.py',
    '../_base_/methods/pseudo_masks.py',
]
stages = [
    dict(key='pseudo_file', command='pseudo-masks', config='spol-cam_vgg16_ilsvrc'),
]
# a segmenter of no class, and CAM's classifier beside it
model = dict(
    _delete_=True,
    type='bas_mm.TwoNetworks',
    learn=('localizer', 'classifier'),
    localizer=dict(
        type='bas_mm.WSOLClassifier',
        data_preprocessor=_base_.model.data_preprocessor,
        backbone=_base_.model.backbone,
        neck=dict(taps=['features.9'], **_base_.model.neck),
        head=dict(type='bas_mm.SegHead', channels=(256, 512, 512), threshold='auto'),
    ),
    classifier=_base_.model,
)
train_dataloader = dict(dataset=dict(pipeline=_base_.mask_pipeline))
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={'localizer.head': dict(lr_mult=10)})
)
