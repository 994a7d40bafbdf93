_base_ = '../cam/cam_vgg16_ilsvrc.py'
model = dict(
    head=dict(
        type='bas_mm.ACoLHead', final_relu=False, erase_threshold=0.6, feat_pool=3
    )
)
