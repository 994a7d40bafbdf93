_base_ = [
    '../_base_/models/vit-small-dinov2.py',
    '../_base_/datasets/custom.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    head=dict(
        type='bas_mm.TriLiteHead', num_classes=2, in_channels=384, threshold='auto'
    ),
)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
# the folders are the classes: the commands count them
num_classes_from_data = True
