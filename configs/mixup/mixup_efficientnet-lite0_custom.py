_base_ = ['../cam/cam_efficientnet-lite0_custom.py']
model = dict(
    data_preprocessor=dict(
        batch_augments=dict(augments=dict(type='Mixup', alpha=0.2), probs=1.0)
    )
)
