# Pictures that the project draws itself on first use.
_base_ = './custom.py'
_root = dict(type='bas_mm.ToyLocalization', data_root='data/toy')
train_dataloader = dict(dataset=_root)
val_dataloader = dict(dataset=_root)
test_dataloader = dict(dataset=_root)
