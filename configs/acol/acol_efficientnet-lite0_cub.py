_base_ = '../cam/cam_efficientnet-lite0_cub.py'
model = dict(head=dict(type='bas_mm.ACoLHead', final_relu=False, erase_threshold=0.6))
