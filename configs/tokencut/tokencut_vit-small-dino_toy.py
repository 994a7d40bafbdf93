# nothing is trained: the schedule is there for the runner alone
_base_ = [
    '../_base_/models/vit-small-dino.py',
    '../_base_/datasets/toy.py',
    '../_base_/schedules/short.py',
    '../_base_/default_runtime.py',
]
model = dict(head=dict(type='bas_mm.TokenCutHead', num_classes=6))
