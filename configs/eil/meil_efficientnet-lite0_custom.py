_base_ = ['../cam/cam_efficientnet-lite0_custom.py']
# erased before stage 6 and behind the last layer: our reading of the paper
model = dict(
    neck=dict(start=None, taps=['blocks.10']),
    head=dict(
        type='bas_mm.EILHead', erase_threshold=0.7, stages=(1, -1), relative='range'
    ),
)
