# ILSVRC 2012
_base_ = './recipe_views.py'
dataset_type = 'bas_mm.ImageNetLocalization'
data_root = 'data/ILSVRC2012'
_root = dict(type=dataset_type, data_root=data_root)
train_dataloader = dict(dataset=_root)
val_dataloader = dict(dataset=dict(split='val', **_root))
test_dataloader = dict(dataset=dict(split='val', **_root))
