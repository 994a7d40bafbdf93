_base_ = '../cam/cam_resnet50_cub.py'
model = dict(
    neck=dict(taps=['layer3.0', 'layer3']),
    head=dict(
        type='bas_mm.SPGHead',
        final_relu=False,
        topk=1,
        tap_channels=[1024, 1024],
        side_channels=1024,
        mask_channels=512,
    ),
)
