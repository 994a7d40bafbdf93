# Views with their pseudo boxes, for a box regressor. Ground-truth boxes do not
# pass LoadPseudoLabels.
# of `bas-mm ddt` or `bas-mm export`: --cfg-options pseudo_file=FILE
pseudo_file = ''
# what makes them in `bas-mm compare-methods`
stages = [dict(key='pseudo_file', command='ddt')]
box_pipeline = [
    # turned by the EXIF tag, as the commands see images
    dict(type='bas_mm.LoadImageFromFile'),
    dict(type='bas_mm.LoadPseudoLabels', file=pseudo_file),
    dict(
        type='bas_mm.PseudoResizedCrop',
        scale=224,
        crop_ratio_range=(0.2, 1.0),
        backend='pillow',
    ),
    dict(type='bas_mm.PseudoFlip', prob=0.5),
    dict(type='bas_mm.PackLocInputs', algorithm_keys=('pseudo_bbox',)),
]
