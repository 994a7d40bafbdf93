# CUB-200-2011
_base_ = './recipe_views.py'
dataset_type = 'bas_mm.CUBLocalization'
data_root = 'data/CUB_200_2011'
_root = dict(type=dataset_type, data_root=data_root)
train_dataloader = dict(dataset=_root)
val_dataloader = dict(dataset=_root)
test_dataloader = dict(dataset=_root)
