_base_ = '../bas/bas_inception-v3_cub.py'
model = dict(head=dict(final_relu=False, threshold=0.1, loss=dict(beta=1.0)))
train_cfg = dict(max_epochs=120)
