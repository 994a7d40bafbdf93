# ILSVRC 2012
_base_ = './cub.py'
_root = dict(type='bas_mm.ImageNetLocalization', data_root='data/ILSVRC2012')
train_dataloader = dict(dataset=_root)
val_dataloader = dict(dataset=dict(split='val', **_root))
test_dataloader = dict(dataset=dict(split='val', **_root))
