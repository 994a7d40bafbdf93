# one class: each costs a pass of the second classifier
_base_ = '../cam/cam_vgg16_cub.py'
model = dict(
    head=dict(
        type='bas_mm.ACoLHead',
        final_relu=False,
        topk=1,
        erase_threshold=0.6,
        feat_pool=3,
    )
)
