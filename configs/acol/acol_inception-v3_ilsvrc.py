_base_ = '../cam/cam_inception-v3_ilsvrc.py'
model = dict(head=dict(type='bas_mm.ACoLHead', final_relu=False, erase_threshold=0.6))
