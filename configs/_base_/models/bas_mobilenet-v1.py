_base_ = './mobilenet-v1.py'
model = dict(
    type='bas_mm.BASClassifier',
    head=dict(
        type='bas_mm.BASHead',
        map_channels=512,
        loss=dict(type='bas_mm.AMCLoss', lambda_=1.0),
    ),
)
