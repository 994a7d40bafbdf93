_base_ = [
    '../_base_/models/vit-small-dinov2.py',
    '../_base_/datasets/ilsvrc.py',
    '../_base_/schedules/adamw_ilsvrc.py',
    '../_base_/default_runtime.py',
]
model = dict(
    head=dict(
        type='bas_mm.TriLiteHead', num_classes=1000, in_channels=384, threshold='auto'
    ),
)
train_dataloader = dict(batch_size=256)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
