_base_ = ['../cam/cam_resnet50_ilsvrc.py']
# behind block 0 of layer3, blocks 0 and 2 of layer4
model = dict(
    neck=dict(
        inserts={
            name: dict(type='bas_mm.ADL', drop_rate=0.75, threshold=0.9)
            for name in ('layer3.0', 'layer4.0', 'layer4.2')
        }
    )
)
