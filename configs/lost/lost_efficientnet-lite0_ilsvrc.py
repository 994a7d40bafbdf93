# on the features of ImageNet's classifier, which has seen labels
_base_ = '../cam/cam_efficientnet-lite0_ilsvrc.py'
model = dict(
    type='bas_mm.WSOLClassifier',
    backbone=dict(dilate=True),
    head=dict(
        _delete_=True, type='bas_mm.LOSTHead', num_classes=1000, feat=-1, center=True
    ),
)
