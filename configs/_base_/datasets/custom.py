# Images of your own: a folder for each class; boxes and masks are optional.
dataset_type = 'bas_mm.CustomLocalization'
data_root = 'data/custom'
# boxes (COCO json, or a folder of VOC XML) and masks (a folder of PNG) for the test;
# below the data root, or absolute
box_file = ''
mask_dir = ''

train_pipeline = [
    dict(type='bas_mm.LoadImageFromFile'),
    dict(
        type='Resize',
        scale=(256, 256),
        keep_ratio=False,
        backend='pillow',
        interpolation='bilinear',
    ),
    dict(type='RandomCrop', crop_size=224),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]

_load = [
    dict(type='bas_mm.LoadImageFromFile'),
    dict(type='bas_mm.LoadLocAnnotations'),
    dict(
        type='Resize',
        scale=(256, 256),
        keep_ratio=False,
        backend='pillow',
        interpolation='bilinear',
    ),
]
# the view alone: a tenth of the cost of a ten-crop test
test_pipeline = _load + [
    dict(type='CenterCrop', crop_size=224),
    dict(type='bas_mm.PackLocInputs'),
]

train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    dataset=dict(
        type=dataset_type, data_root=data_root, split='train', pipeline=train_pipeline
    ),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=True,
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='test',
        test_mode=True,
        pipeline=test_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
