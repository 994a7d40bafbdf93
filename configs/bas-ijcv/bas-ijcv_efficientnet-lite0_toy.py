_base_ = '../bas/bas_efficientnet-lite0_toy.py'
model = dict(head=dict(final_relu=False))
