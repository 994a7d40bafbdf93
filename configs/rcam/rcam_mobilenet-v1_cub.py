_base_ = ['../cam/cam_mobilenet-v1_cub.py']
model = dict(
    head=dict(type='bas_mm.RCAMHead', pool_threshold=0.1, threshold=0.35, percentile=90)
)
