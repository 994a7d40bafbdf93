_base_ = './efficientnet-lite0.py'
model = dict(
    type='bas_mm.BASClassifier',
    head=dict(
        type='bas_mm.BASHead',
        map_channels=112,
        loss=dict(type='bas_mm.AMCLoss', alpha=0.5, beta='auto', lambda_=1.0),
        # a saturated map would stay so: small weights for the generator
        init_cfg=dict(
            override=dict(type='Normal', name='generator', std=0.01, bias=0.0)
        ),
    ),
)
