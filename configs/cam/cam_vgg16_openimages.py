_base_ = [
    '../_base_/models/vgg16.py',
    '../_base_/datasets/openimages.py',
    '../_base_/schedules/openimages.py',
    '../_base_/default_runtime.py',
]
model = dict(
    head=dict(
        num_classes=100,
        final_relu=False,
        topk=1,
        threshold=0.1,
    ),
)
train_dataloader = dict(batch_size=64)
val_evaluator = [dict(type='bas_mm.WSOLAccuracy'), dict(type='bas_mm.PxAP')]
