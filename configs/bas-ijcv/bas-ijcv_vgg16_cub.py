_base_ = '../bas/bas_vgg16_cub.py'
model = dict(head=dict(final_relu=False, threshold=0.1, loss=dict(beta=0.9)))
train_cfg = dict(max_epochs=120)
