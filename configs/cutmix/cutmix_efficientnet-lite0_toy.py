_base_ = ['../cam/cam_efficientnet-lite0_toy.py']
model = dict(
    data_preprocessor=dict(
        batch_augments=dict(augments=dict(type='CutMix', alpha=1.0), probs=1.0)
    )
)
