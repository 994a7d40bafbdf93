_base_ = ['../cam/cam_inception-v3_cub.py']
# erased behind Mixed_6e and behind the last block: our reading of the paper
model = dict(
    neck=dict(start=None, taps=['Mixed_6e']),
    head=dict(type='bas_mm.EILHead', erase_threshold=0.7, stages=(1, -1)),
)
