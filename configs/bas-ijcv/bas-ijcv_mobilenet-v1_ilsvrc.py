_base_ = '../bas/bas_mobilenet-v1_ilsvrc.py'
model = dict(head=dict(final_relu=False, threshold=0.5))
sync_bn = 'torch'
