# The views of the paper's recipe: 256x256, of which 224x224 are cropped, and ten
# crops for the class scores of a test. Boxes count pixels as stored, before any
# EXIF turn.
train_pipeline = [
    dict(type='bas_mm.LoadImageFromFile', color_type='color_ignore_orientation'),
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
    dict(type='bas_mm.LoadImageFromFile', color_type='color_ignore_orientation'),
    # the gray levels of CUB's masks tell how many annotators agree
    dict(type='bas_mm.LoadLocAnnotations', threshold=128),
    dict(
        type='Resize',
        scale=(256, 256),
        keep_ratio=False,
        backend='pillow',
        interpolation='bilinear',
    ),
]
# the view alone: cheaper, for validation while training
val_pipeline = _load + [
    dict(type='CenterCrop', crop_size=224),
    dict(type='bas_mm.PackLocInputs'),
]
# the view, and the other nine crops for the class scores
test_pipeline = _load + [
    dict(type='bas_mm.TenCrop', crop_size=224),
    dict(type='bas_mm.PackLocInputs'),
]

train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    dataset=dict(split='train', pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    dataset=dict(split='test', test_mode=True, pipeline=val_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    dataset=dict(split='test', test_mode=True, pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
