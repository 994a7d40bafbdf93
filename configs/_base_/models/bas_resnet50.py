_base_ = './resnet50.py'
model = dict(
    type='bas_mm.BASClassifier',
    head=dict(
        type='bas_mm.BASHead',
        map_channels=1024,
        loss=dict(type='bas_mm.AMCLoss', lambda_=1.0),
    ),
)
