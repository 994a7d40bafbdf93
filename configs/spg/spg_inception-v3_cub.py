_base_ = '../cam/cam_inception-v3_cub.py'
model = dict(
    neck=dict(taps=['Mixed_5d', 'Mixed_6d']),
    head=dict(
        type='bas_mm.SPGHead',
        final_relu=False,
        topk=1,
        tap_channels=[288, 768],
        side_channels=512,
        mask_channels=512,
    ),
)
