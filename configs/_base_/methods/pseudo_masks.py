# Views with their pseudo masks, for a segmenter. Ground-truth masks do not pass
# LoadPseudoLabels.
# of `bas-mm pseudo-masks`: --cfg-options pseudo_file=DIR
pseudo_file = ''
mask_pipeline = [
    # turned by the EXIF tag, as the commands see images
    dict(type='bas_mm.LoadImageFromFile'),
    dict(type='bas_mm.LoadPseudoLabels', file=pseudo_file),
    dict(
        type='bas_mm.PseudoResizedCrop',
        scale=224,
        crop_ratio_range=(0.5, 1.0),
        backend='pillow',
    ),
    dict(type='bas_mm.PseudoFlip', prob=0.5),
    dict(type='bas_mm.PackLocInputs', algorithm_keys=('pseudo_mask',)),
]
