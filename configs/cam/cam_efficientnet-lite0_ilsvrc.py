_base_ = [
    '../_base_/models/efficientnet-lite0.py',
    '../_base_/datasets/ilsvrc.py',
    '../_base_/schedules/short_ilsvrc.py',
    '../_base_/default_runtime.py',
]
model = dict(head=dict(num_classes=1000, topk=3, threshold='auto'))
# the view alone: a tenth of the cost of the ten-crop test
test_dataloader = dict(dataset=dict(pipeline=_base_.val_pipeline))
train_dataloader = dict(batch_size=16)
