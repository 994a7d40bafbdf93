_base_ = ['../cam/cam_vgg16_ilsvrc.py']
# behind pool3, conv4_3 and conv5_3
model = dict(
    neck=dict(
        inserts={
            name: dict(type='bas_mm.ADL', drop_rate=0.75, threshold=0.8)
            for name in ('features.9', 'features.12', 'features.16')
        }
    )
)
