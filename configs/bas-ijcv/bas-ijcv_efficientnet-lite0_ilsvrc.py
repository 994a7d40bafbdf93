_base_ = '../bas/bas_efficientnet-lite0_ilsvrc.py'
model = dict(head=dict(final_relu=False))
