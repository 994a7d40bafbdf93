_base_ = '../cam/cam_vgg16_cub.py'
model = dict(
    neck=dict(taps=['features.13', 'features.16']),
    head=dict(
        type='bas_mm.SPGHead',
        final_relu=False,
        topk=1,
        tap_channels=[512, 512],
        side_channels=512,
        mask_channels=512,
    ),
)
