_base_ = '../cam/cam_vgg16_cub.py'
model = dict(
    head=dict(final_relu=False, topk=1),
    aux_losses=[dict(type='bas_mm.I2CLoss', start_epoch=75)],
)
train_dataloader = dict(sampler=dict(type='bas_mm.PairedClassSampler'))
