_base_ = '../bas/bas_vgg16_ilsvrc.py'
model = dict(head=dict(final_relu=False, threshold=0.45))
auto_scale_lr = dict(base_batch_size=256)
