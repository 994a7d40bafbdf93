_base_ = '../cam/cam_efficientnet-lite0_toy.py'
model = dict(
    head=dict(final_relu=False, topk=1),
    aux_losses=[dict(type='bas_mm.I2CLoss', start_epoch=5)],
)
train_dataloader = dict(sampler=dict(type='bas_mm.PairedClassSampler'))
