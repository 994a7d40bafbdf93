_base_ = ['../cam/cam_efficientnet-lite0_cub.py']
# no ReLU ends a block: its attention is compared over its range
model = dict(
    neck=dict(
        inserts={
            'blocks.10': dict(type='bas_mm.ADL', threshold=0.9, relative='range'),
            'conv_head': dict(type='bas_mm.ADL', threshold=0.9),
        }
    )
)
