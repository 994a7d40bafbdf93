# no class token: the mean of the features stands in for it
_base_ = '../cam/cam_efficientnet-lite0_toy.py'
model = dict(
    type='bas_mm.WSOLClassifier',
    head=dict(
        _delete_=True,
        type='bas_mm.TriLiteHead',
        num_classes=6,
        in_channels=1280,
        cls_token=False,
        threshold='auto',
    ),
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'head.region': dict(lr_mult=10)}))
