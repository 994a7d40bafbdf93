_base_ = [
    '../_base_/models/efficientnet-lite0.py',
    '../_base_/datasets/openimages.py',
    '../_base_/schedules/short.py',
    '../_base_/default_runtime.py',
]
model = dict(head=dict(num_classes=100, final_relu=False, topk=1, threshold='auto'))
train_dataloader = dict(batch_size=16)
val_evaluator = [dict(type='bas_mm.WSOLAccuracy'), dict(type='bas_mm.PxAP')]
