_base_ = '../bas/bas_efficientnet-lite0_cub.py'
model = dict(head=dict(final_relu=False))
