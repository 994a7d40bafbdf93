_base_ = '../cam/cam_vgg16_ilsvrc.py'
stages = [
    dict(
        key='model.localizer.init_cfg.checkpoint',
        command='train',
        config='ornet-cam_resnet50_ilsvrc',
    ),
    dict(
        key='model.classifier.init_cfg.checkpoint',
        command='train',
        config='cam_vgg16_ilsvrc',
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
        backbone=dict(type='ResNet', depth=50, frozen_stages=4),
        neck=dict(type='bas_mm.SplitNeck', end='layer1'),
        head=dict(
            type='bas_mm.ORNetRefineHead',
            num_classes=1000,
            map_channels=64,
            threshold='auto',
        ),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/ornet-cam_resnet50_ilsvrc/epoch_9.pth',
        ),
    ),
    classifier=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/cam_vgg16_ilsvrc/epoch_9.pth',
        ),
        **_base_.model,
    ),
)
optim_wrapper = dict(_delete_=True, optimizer=dict(type='Adam', lr=1e-4))
