# on the features of ImageNet's classifier, which has seen labels
_base_ = '../cam/cam_efficientnet-lite0_custom.py'
model = dict(
    type='bas_mm.WSOLClassifier',
    backbone=dict(dilate=True),
    head=dict(
        _delete_=True, type='bas_mm.TokenCutHead', num_classes=2, feat=-1, center=True
    ),
)
