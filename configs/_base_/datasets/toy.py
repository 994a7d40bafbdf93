# Images that the project draws itself on first use.
_base_ = './custom.py'
dataset_type = 'bas_mm.ToyLocalization'
data_root = 'data/toy'
_root = dict(type=dataset_type, data_root=data_root)
train_dataloader = dict(dataset=_root)
val_dataloader = dict(dataset=_root)
test_dataloader = dict(dataset=_root)
