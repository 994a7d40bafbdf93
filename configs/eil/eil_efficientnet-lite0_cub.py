_base_ = ['../cam/cam_efficientnet-lite0_cub.py']
# no ReLU ends a block: its attention is compared over its range
model = dict(
    head=dict(type='bas_mm.EILHead', erase_threshold=0.7, relative='range'),
)
