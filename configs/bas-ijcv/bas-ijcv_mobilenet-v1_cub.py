_base_ = '../bas/bas_mobilenet-v1_cub.py'
model = dict(head=dict(final_relu=False, topk=80, threshold=0.1, loss=dict(beta=1.9)))
train_cfg = dict(max_epochs=120)
