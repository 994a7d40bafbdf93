# nothing is trained: the schedule is there for the runner alone
_base_ = [
    '../_base_/models/vit-small-dino.py',
    '../_base_/datasets/cub.py',
    '../_base_/schedules/short.py',
    '../_base_/default_runtime.py',
]
model = dict(head=dict(type='bas_mm.TokenCutHead', num_classes=200))
# the view alone: there are no class scores to average
test_dataloader = dict(dataset=dict(pipeline=_base_.val_pipeline))
