_base_ = ['../cam/cam_vgg16_cub.py']
model = dict(
    data_preprocessor=dict(
        batch_augments=dict(augments=dict(type='Mixup', alpha=0.2), probs=1.0)
    )
)
