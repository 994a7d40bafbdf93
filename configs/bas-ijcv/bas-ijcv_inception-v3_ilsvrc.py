_base_ = '../bas/bas_inception-v3_ilsvrc.py'
model = dict(head=dict(final_relu=False, threshold=0.25))
sync_bn = 'torch'
