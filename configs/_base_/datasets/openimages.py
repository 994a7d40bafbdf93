# OpenImages30k of the WSOL benchmark. Tests look at the whole image, not cropped, and
# measure by masks.
_base_ = './recipe_views.py'
dataset_type = 'bas_mm.OpenImagesLocalization'
data_root = 'data/OpenImages'

test_pipeline = [
    dict(type='bas_mm.LoadImageFromFile', color_type='color_ignore_orientation'),
    # masks need not have the size of their images
    dict(type='bas_mm.LoadLocAnnotations', fit=True),
    dict(
        type='Resize',
        scale=(224, 224),
        keep_ratio=False,
        backend='pillow',
        interpolation='bilinear',
    ),
    dict(type='bas_mm.PackLocInputs'),
]

_root = dict(type=dataset_type, data_root=data_root)
train_dataloader = dict(dataset=_root)
val_dataloader = dict(dataset=dict(split='val', pipeline=test_pipeline, **_root))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline, **_root))
