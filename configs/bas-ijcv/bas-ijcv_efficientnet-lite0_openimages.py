_base_ = [
    '../_base_/models/bas_efficientnet-lite0.py',
    '../_base_/datasets/openimages.py',
    '../_base_/schedules/short.py',
    '../_base_/default_runtime.py',
]
model = dict(head=dict(num_classes=100, final_relu=False, topk=1, threshold='auto'))
default_hooks = dict(warmup=dict(type='bas_mm.ClsWarmupHook', epochs=5))
train_dataloader = dict(batch_size=16)
val_evaluator = [dict(type='bas_mm.WSOLAccuracy'), dict(type='bas_mm.PxAP')]
