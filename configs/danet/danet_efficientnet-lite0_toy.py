# no class tree: the divergent maps alone
_base_ = '../cam/cam_efficientnet-lite0_toy.py'
model = dict(head=dict(type='bas_mm.DANetHead', final_relu=False, maps_per_class=4))
