_base_ = '../cam/cam_efficientnet-lite0_custom.py'
model = dict(
    neck=dict(taps=['blocks.10', 'blocks.14']),
    head=dict(
        type='bas_mm.SPGHead',
        final_relu=False,
        tap_channels=[112, 192],
        side_channels=128,
        mask_channels=128,
    ),
)
