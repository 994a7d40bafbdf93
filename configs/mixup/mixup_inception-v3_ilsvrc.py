_base_ = ['../cam/cam_inception-v3_ilsvrc.py']
model = dict(
    data_preprocessor=dict(
        batch_augments=dict(augments=dict(type='Mixup', alpha=0.2), probs=1.0)
    )
)
